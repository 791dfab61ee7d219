"""Tests of the built-in node's parts that need no cluster."""
