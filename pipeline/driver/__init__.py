"""A run from begin to end: the dataset, the run's identity, the connection to Ray."""
