"""What a configuration is made of: attributes that all models of Transformers have, checks, `config.json`."""
