"""Layers of the network: embeddings, attention, encoder, heads, losses, dropout."""
