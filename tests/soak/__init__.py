"""Soak tests: many runs by the scripts alone, and nothing left of them."""
