"""Find the Parquet files of a benchmark, and read their columns as examples."""
