"""Annotate Parquet corpora: tasks, input, batches, replicas and output of a job on Ray Data and Arrow."""
