"""Prometheus alerts and a Grafana dashboard for runs of jobs.annotate."""
