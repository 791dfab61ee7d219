"""Tests of the fixtures themselves: what the end-to-end tests rest on must not be guessed."""
