"""The public model classes: pretrained base, trunk, language models, classifiers."""
