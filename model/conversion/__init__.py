"""Convert checkpoints of other projects (fairseq) to Hugging Face layout."""
