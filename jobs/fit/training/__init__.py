"""Training of one head on held rows: linear, with a hidden layer, on a mix of layers; scaling and temperature."""
