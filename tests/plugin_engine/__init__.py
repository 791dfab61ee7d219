"""The stand-in plugin under the real Pulumi engine, against a real API server."""
