"""`pulumi destroy` leaves no object of the stack, and `pulumi up` brings it back."""

import json

from tests.e2e import commands, stack

NAMESPACED = (
    "configmaps,persistentvolumeclaims,serviceaccounts,secrets,services,networkpolicies,ingresses,jobs,cronjobs,roles,rolebindings,pods,"
    "workflowtemplates,eventbus.argoproj.io,eventsources.argoproj.io,sensors.argoproj.io"
)
OF_THE_CLUSTER = "validatingadmissionpolicies,validatingadmissionpolicybindings,storageclasses"


def _left() -> list[str]:
    """Everything in the cluster that Pulumi made."""
    found = []
    for kinds, where in ((NAMESPACED, "--all-namespaces"), (OF_THE_CLUSTER, "--all-namespaces")):
        done = commands.attempt(["kubectl", "get", kinds, where, "--selector=app.kubernetes.io/managed-by=pulumi", "--output=json"])
        assert done.code == 0, done.text
        found += [f"{item['kind']} {item['metadata']['name']}" for item in json.loads(done.out)["items"]]
    return found


def test_destroy_leaves_nothing_and_up_brings_it_back() -> None:
    assert _left(), "the stack is not deployed. Remedy: make up"
    try:
        destroyed = stack.pulumi("destroy", "--yes", "--skip-preview")
        assert destroyed.code == 0, destroyed.text
        assert _left() == []
    finally:
        made = stack.pulumi("up", "--yes", "--skip-preview")
        assert made.code == 0, made.text
    assert stack.preview() == []
