"""End-to-end tests: the deployed stack, real runs, a real cluster."""
