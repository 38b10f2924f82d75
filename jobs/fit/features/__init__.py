"""Features of the rows: computed by the annotation pipeline or found in its output, and read with the labels."""
