"""File systems and URIs, atomic files, and retries."""
