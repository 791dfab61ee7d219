"""Whose fields the stand-in may take over with server-side apply.

Objects are created with a plain POST (so that one that exists already is an error) and changed
with server-side apply, and people patch by kubectl. As the official plugin does before each
update, the fields that such writers own are handed to the apply manager; other managers' fields
conflict unless the program asks for force.
"""

from typing import Any

from node.plugin.values import Object

CREATOR = "pulumi-kubernetes"
"""The manager of the fields of a fresh object."""

# Prefixes: kubectl-patch, kubectl-edit, kubectl-client-side-apply and the like count as kubectl.
_TAKEN_OVER = {
    "Update": ("kubectl", "before-first-apply", CREATOR, "pulumi-resource-kubernetes"),
    "Apply": ("kubectl",),
}


def _is_taken_over(entry: Object) -> bool:
    prefixes = _TAKEN_OVER.get(str(entry.get("operation")), ())
    return not entry.get("subresource") and str(entry.get("manager")).startswith(prefixes)


def _union(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = dict(one)
    for key, value in other.items():
        merged[key] = _union(merged[key], value) if key in merged else value
    return merged


def taken_over(entries: list[Object], manager: str) -> list[Object] | None:
    """The object's managedFields after the take-over; None if there is nothing to take."""
    if not any(_is_taken_over(entry) for entry in entries):
        return None
    fields: dict[str, Any] = {}
    own: Object | None = None
    rest: list[Object] = []
    for entry in entries:
        is_own = entry.get("manager") == manager and entry.get("operation") == "Apply"
        if is_own or _is_taken_over(entry):
            fields = _union(fields, entry.get("fieldsV1") or {})
            own = entry if own is None or is_own else own
        else:
            rest.append(entry)
    return [*rest, {**(own or {}), "manager": manager, "operation": "Apply", "fieldsV1": fields}]
