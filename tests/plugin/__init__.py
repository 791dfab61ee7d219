"""Tests of the stand-in plugin's decisions; no cluster and no engine."""
