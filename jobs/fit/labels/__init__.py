"""Labels of the rows to fit on: their columns, targets, parts, and checks before features are computed."""
