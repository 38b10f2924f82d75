"""The output folder: parts, manifest, inventory, commit, increment, restart, lease."""
