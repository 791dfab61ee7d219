"""The command that lists and brings kept work."""

import pytest

from components.workflow_template_spec import pod_security_context
from operations.kept_work import KeptWorkError, chosen, pod_manifest
from tests.unit.stack_files import config_with

FOLDERS = ["task-1.0001", "task-1.0002", "a.b.0003"]


def test_a_folder_is_chosen_by_task_id_or_name() -> None:
    assert chosen(FOLDERS, "a.b") == "a.b.0003"
    assert chosen(FOLDERS, "task-1.0002") == "task-1.0002"


@pytest.mark.parametrize(
    ("folders", "wanted", "expected"),
    [
        (FOLDERS, "task-1", "work of 2 runs was kept under 'task-1'. Remedy: name one of these: task-1.0001, task-1.0002."),
        (FOLDERS, "a", "nothing was kept under 'a'. Remedy: name one of these: task-1.0001, task-1.0002, a.b.0003."),
        ([], "a", "nothing was kept under 'a'. Remedy: name one of these: none at all."),
    ],
)
def test_a_name_that_does_not_say_which_is_refused(folders: list[str], wanted: str, expected: str) -> None:
    with pytest.raises(KeptWorkError) as raised:
        chosen(folders, wanted)
    assert str(raised.value) == expected


def test_its_pod_can_only_read_kept_work() -> None:
    config = config_with()
    pod = pod_manifest(config, "x")["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == pod_security_context(config)
    (container,) = pod["containers"]
    assert container["volumeMounts"] == [{"name": "claim", "mountPath": "/kept", "subPath": "base/.kept", "readOnly": True}]
    assert pod["volumes"] == [{"name": "claim", "persistentVolumeClaim": {"claimName": "coderun-shared"}}]
