"""The tokenizer: text to token ids and character offsets, and back."""
