"""The input files: listing, footers, schema, cutting into fragments, planning, reading."""
