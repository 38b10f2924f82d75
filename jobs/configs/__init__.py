"""Example jobs, one for each purpose, and the JSON schema of a job file."""
