"""Parts of the configuration: inherited attributes, validation, parsing, and the file `config.json`."""
