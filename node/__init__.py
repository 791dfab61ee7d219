"""The built-in node: a real single-node Kubernetes from package registries alone."""
