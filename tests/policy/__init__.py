"""Tests of the policy pack with the same wrapped inputs that the engine hands to a policy."""
