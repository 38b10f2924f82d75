"""The job file: parsing, validation and error messages."""
