"""The list of a batch's tasks is read as JSON is, by every shell and awk that a pod may have."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import payload

SHELLS = {"sh": ["sh"], "busybox": ["busybox", "sh"]}
FIELDS = ["owner", "repo", "ref", "taskId", "prNumber", "baseRef", "github-app", "usePVC"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False))
NESTED = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=4)
TASKS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"owner": TEXTS, "repo": TEXTS}, optional={"ref": TEXTS, "prNumber": SCALARS, "usePVC": NESTED, "else": NESTED}), NESTED
    ),
    max_size=5,
)


@pytest.fixture(params=SHELLS)
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A command that lists the tasks of the file tasks.json; its exit code is 3 for what is no JSON list."""
    script = tmp_path / "list.sh"
    library = payload.source("task-messages.sh", "coderun-end.sh", "batch-tasks.sh")
    script.write_text(f"{library}list_tasks {tmp_path / 'tasks.json'} || exit 3\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    if request.param == "busybox":
        for name in ("awk", "mktemp", "rm"):
            (tools / name).symlink_to("/bin/busybox")
    return ["env", f"PATH={tools}:/usr/bin:/bin", *SHELLS[request.param], str(script)]


def read(reader: list[str], folder: Path, text: str) -> list[tuple[str, list[dict[str, str]]]] | None:
    """Fault and parameters of each task; None for what is no JSON list."""
    (folder / "tasks.json").write_text(text, encoding="utf-8")
    done = subprocess.run(reader, capture_output=True, text=True, check=False, encoding="utf-8")
    if done.returncode == 3:
        assert " at character " in done.stdout.splitlines()[-1]
        return None
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("|", 3) for line in done.stdout.removesuffix("\n").split("\n")] if done.stdout else []
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    return [(row[1], json.loads(row[3])) for row in rows]


def as_text(value: Any) -> str:  # noqa: ANN401 - any JSON scalar
    """A scalar as Argo's parameter has it."""
    return value if isinstance(value, str) else json.dumps(value)


def is_sound(task: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a task can be handed on."""
    if not isinstance(task, dict) or not {"owner", "repo"} <= {name for name, value in task.items() if value is not None}:
        return False
    return all(name in FIELDS and not isinstance(value, list | dict) for name, value in task.items())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(tasks=[{"owner": 'a"\\/\b', "repo": "\u2028|\x7f"}], pretty=True)
@given(tasks=TASKS, pretty=st.booleans())
def test_values_arrive_as_they_are_and_bad_tasks_are_marked(reader: list[str], tmp_path: Path, tasks: list[Any], pretty: bool) -> None:  # noqa: FBT001
    text = json.dumps(tasks, ensure_ascii=pretty, indent=2 if pretty else None)
    found = read(reader, tmp_path, text)
    assert found is not None
    assert len(found) == len(tasks)
    for task, (fault, parameters) in zip(tasks, found, strict=True):
        assert (fault == "") == is_sound(task), (task, fault)
        if not fault:
            assert {one["name"]: one["value"] for one in parameters} == {name: as_text(value) for name, value in task.items() if value is not None}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TASKS, st.data())
def test_what_is_no_json_is_refused(reader: list[str], tmp_path: Path, tasks: list[Any], data: st.DataObject) -> None:
    text = json.dumps(tasks)
    place = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(0, 2))
    broken = text[:place] + data.draw(st.sampled_from(["", ",", '"', "]", "}", "{", "[", ":", "x", "\\", "\n", "1", " "])) + text[place + cut :]
    try:
        wanted = json.loads(broken, parse_constant=lambda _: pytest.fail("not JSON"))
    except ValueError:
        wanted = None
    found = read(reader, tmp_path, broken)
    assert (found is None) == (not isinstance(wanted, list)), broken
    if found is not None:
        assert len(found) == len(wanted)


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        ("{}", "field owner: it is missing"),
        ('{"owner": "a", "repo": null}', "field repo: it is missing"),
        ('{"owner": "a", "repo": "b", "onwer": "c"}', "field onwer: there is no such field"),
        ('{"owner": "a", "repo": "b", "owner repo": "c"}', "field owner?repo: there is no such field"),
        ('{"owner": "a", "repo": "b", "\\u006fwner": "c"}', "field ?u006fwner: there is no such field"),
        ('{"owner": "a", "repo": "b", "owner": "c"}', "field owner: it is given twice"),
        ('{"owner": "a", "repo": "b", "ref": ["c"]}', "field ref: it is a list or a mapping"),
        ('"text"', "it is not a mapping of fields"),
        ("[[]]", "it is not a mapping of fields"),
    ],
)
def test_faults_of_a_task_leave_the_others_alone(reader: list[str], tmp_path: Path, task: str, fault: str) -> None:
    found = read(reader, tmp_path, f'[{{"owner": "a", "repo": "b"}}, {task}, {{"repo": "b", "owner": "c"}}]')
    assert found is not None
    assert [one for one, _ in found] == ["", fault, ""]


def test_a_deep_nest_is_refused_and_does_no_harm(reader: list[str], tmp_path: Path) -> None:
    assert read(reader, tmp_path, "[" * 5000 + "]" * 5000) is None


def test_a_large_list_is_read_in_time(reader: list[str], tmp_path: Path) -> None:
    tasks = [{"owner": "exampleorg", "repo": "sample", "ref": f"refs/heads/{'b' * 80}{number}"} for number in range(700)]
    found = read(reader, tmp_path, json.dumps(tasks))
    assert found is not None
    assert len(found) == 700
