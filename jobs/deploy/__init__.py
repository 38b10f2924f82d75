"""What it takes to run jobs on Kubernetes, Slurm and other clusters: manifests, scripts and an image."""
