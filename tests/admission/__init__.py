"""Tests of the cluster's gate, and of its agreement with the policy pack."""
