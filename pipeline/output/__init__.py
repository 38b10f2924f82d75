"""The output: parts, manifest, inventory, commit, increment, restart, lease."""
