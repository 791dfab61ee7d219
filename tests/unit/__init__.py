"""Tests of pure functions and of the program under mocks: no cluster, no engine."""
