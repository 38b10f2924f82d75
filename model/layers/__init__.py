"""The network's layers: encoder, attention, heads, loss, dropout."""
