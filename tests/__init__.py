"""Tests of the product: unit, policy, payload and end to end."""
