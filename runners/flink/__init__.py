"""The pipeline on Flink: a local cluster, and what a Kubernetes one takes."""
