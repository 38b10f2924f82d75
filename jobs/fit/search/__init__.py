"""The search for a head: candidates on layers and mixes, the probe of all layers, the learning curve."""
