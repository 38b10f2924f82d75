"""Checkpoints of the COMET family, small ones, and what COMET itself says of pairs with them."""
