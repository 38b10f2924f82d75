"""The tasks, one file each: options, column type, requests to a batch, decoding of results."""
