"""A stand-in for the Pulumi plugin `pulumi-resource-kubernetes`, for the built-in node only.

The official plugin is always the one to use; machines that reach nothing but package registries
cannot have it. This one serves the same protocol to the real Pulumi engine for the kinds that this
project's stack deploys, imitates what the official one does with them, and refuses the rest by
name. Nothing outside node/ knows of it.

- `values`: Pulumi's property values (unknown, secret) as plain Python.
- `settings`: the provider's options, and those that are refused.
- `kinds`: the kinds, their paths in the API, and what forces a replacement.
- `diff`: what changed between two sets of inputs, and what drifted in the cluster (pure).
- `ownership`: whose fields server-side apply may take over (pure).
- `readiness`: when an object counts as ready (pure).
- `cluster`: the API server.
- `waiting`: waits for readiness and for disappearance.
- `engine`: messages to the engine.
- `service`: the gRPC service that ties them together.
"""
