"""Chaos tests: what a run goes through on a cluster that is broken on purpose."""
