"""Text to token ids and character offsets, and back."""
