"""A soak test on the cluster."""
