"""The command that annotates Parquet text with the heads of a job file."""
