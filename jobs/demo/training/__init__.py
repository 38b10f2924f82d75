"""Train and evaluate the demo model."""
