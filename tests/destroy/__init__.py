"""Runs last: takes the stack away and brings it back."""
