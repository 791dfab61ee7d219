"""The stack's settings: models of the whole stack file, the repo list and what is derived from it.

Nothing outside this package reads ``pulumi.Config``.
"""
