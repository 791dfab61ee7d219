"""The stack's parts: one ComponentResource a file, and beside it, without Pulumi, the specs that it applies."""
