"""What a run needs on a cluster: manifests, an image, examples, monitoring."""
