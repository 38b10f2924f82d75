"""The demo: a small model of the XL architecture that was trained for it, a sample, and a job over both."""
