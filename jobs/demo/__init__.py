"""The demo: a small trained model of the XL architecture, a sample, and a job that annotates it."""
