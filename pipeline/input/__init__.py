"""The input: listing, footers, schema, cutting into fragments, planning, reading."""
