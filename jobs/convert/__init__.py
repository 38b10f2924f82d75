"""Convert checkpoints of other projects and layouts to sharded safetensors: `python -m jobs.convert`."""
