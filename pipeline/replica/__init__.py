"""A replica of the model: its ranks, what runs on them, recovery, placement, memory."""
