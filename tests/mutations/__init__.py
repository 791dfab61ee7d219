"""Mutations of the scripts, each of which must turn a test red."""
