"""Stands in for kubectl: objects are JSON files, ``OBJECTS/<plural>/<name>.json``; every call is a line of ``calls.log``.

Run as a program with FAKE_KUBECTL_FOLDER in its environment. It knows the forms that the scripts use and refuses all others.
An object's field ``fake`` says how it behaves:

- ``goneAfter``: number of reads that a deleted object survives (default 0);
- ``endsPods``: deleting it deletes the pods of this label selector, as its controller would;
- ``phases``: each read moves ``status.phase`` on to the next of these;
- ``hiddenFor``: number of reads that don't show it, as if it were not there yet.

A file ``failures`` with a number makes that many calls fail as an API server does that is away. A file ``hang-on`` with a word makes calls
with that word wait until the file is gone.
"""

import fcntl
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

_TOKEN = re.compile(r"\{(?P<expression>[^{}]*)\}|(?P<text>[^{}]+)")
_STEP = re.compile(
    r"\.(?P<name>[A-Za-z0-9_-]+|\*)|\['(?P<quoted>(?:[^'\\]|\\.)+)'\]|\[(?P<index>\d+|\*)\]|\[\?\(@\.(?P<key>\w+)==\"(?P<wanted>[^\"]*)\"\)\]"
)
_KINDS = {"pods": "Pod", "coderuns": "CodeRun", "persistentvolumeclaims": "PersistentVolumeClaim", "workflows": "Workflow", "configmaps": "ConfigMap"}
_OBJECT_PATH = re.compile(
    r"/(api/v1|apis/(?P<group>[a-z0-9.]+)/v1[a-z0-9]*)/namespaces/(?P<namespace>[a-z-]+)/(?P<plural>[a-z]+)(/(?P<name>[a-z0-9.-]+))?"
)
_GROUPS = {"pods": None, "persistentvolumeclaims": None, "coderuns": "platform.example.io", "workflows": "argoproj.io"}
_FIELD_SELECTOR = "status.phase!=Succeeded,status.phase!=Failed"
_FLAGS_WITH_VALUE = {"--namespace", "--selector", "--field-selector", "--raw", "-o", "-f"}


def stop(message: str) -> NoReturn:
    """Fail as kubectl does."""
    sys.stderr.write(f"{message}\n")
    sys.exit(1)


def values_at(path: str, document: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """Evaluate a path of kubectl's JSONPath; what is missing is left out."""
    found, position = [document], 0
    while position < len(path):
        step = _STEP.match(path, position)
        if not step:
            stop(f"fake kubectl: can't read the JSONPath {path!r}")
        position = step.end()
        name = step["name"] or (step["quoted"] or "").replace("\\.", ".")
        following: list[Any] = []
        for value in found:
            if name == "*" or step["index"] == "*":
                following += value.values() if isinstance(value, dict) else value
            elif step["key"]:
                following += [item for item in value if item.get(step["key"]) == step["wanted"]]
            elif step["index"]:
                following += value[int(step["index"]) : int(step["index"]) + 1]
            elif isinstance(value, dict) and name in value:
                following.append(value[name])
        found = following
    return found


def render(template: str, document: Any) -> str:  # noqa: ANN401 - any JSON
    """Print a document by a JSONPath template with literals, paths and unnested ranges."""
    text, current, in_range = "", [document], list[str]()
    collecting = False
    for token in _TOKEN.finditer(template):
        expression = token["expression"]
        if expression is not None and expression.startswith("range "):
            current, collecting, in_range = values_at(expression.removeprefix("range ").strip(), document), True, []
        elif expression == "end":
            text += "".join(_one(part, item) for item in current for part in in_range)
            current, collecting = [document], False
        elif collecting:
            in_range.append(token[0])
        else:
            text += _one(token[0], document)
    return text


def _one(token: str, document: Any) -> str:  # noqa: ANN401 - any JSON
    if not token.startswith("{"):
        return token
    expression = token[1:-1]
    if expression.startswith('"'):
        return str(json.loads(expression))
    return " ".join(str(value) for value in values_at(expression, document))


def _selects(part: str, labels: dict[str, str]) -> bool:
    if part.startswith("!"):
        return part.removeprefix("!") not in labels
    name, equals, value = part.partition("=")
    if name.endswith("!"):
        return labels.get(name.removesuffix("!")) != value
    return labels.get(name) == value if equals else name in labels


def replace(path: Path, document: dict[str, Any]) -> None:
    """Write an object, whole at any moment: a watch that is killed while it writes must not leave half of one."""
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(document))
    fresh.replace(path)


class Store:
    """The folder of objects."""

    def __init__(self, folder: Path) -> None:
        """Takes FAKE_KUBECTL_FOLDER."""
        self.folder = folder

    def path(self, resource: str, name: str) -> Path:
        """Where an object is."""
        return self.folder / "objects" / resource.partition(".")[0] / f"{name}.json"

    def objects(self, resource: str, selector: str, *, living: bool) -> Iterator[dict[str, Any]]:
        """List objects, as a read of each."""
        for path in sorted(self.path(resource, "x").parent.glob("*.json")):
            found = self.read(path)
            if found is None:
                continue
            labels = found["metadata"].get("labels", {})
            if not all(_selects(part, labels) for part in selector.split(",") if part):
                continue
            if not living or found.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
                yield {"kind": _KINDS.get(resource.partition(".")[0])} | found

    def read(self, path: Path) -> dict[str, Any] | None:
        """Read one, which may be its last read."""
        if not path.exists():
            return None
        text = path.read_text()
        found: dict[str, Any] = json.loads(text)
        fake = found.get("fake", {})
        if fake.get("hiddenFor", 0) > 0:
            fake["hiddenFor"] -= 1
            replace(path, found)
            return None
        if "deletionTimestamp" in found["metadata"]:
            fake["goneAfter"] = fake.get("goneAfter", 0) - 1
            if fake["goneAfter"] < 0:
                path.unlink()
                return None
        if fake.get("phases"):
            found.setdefault("status", {})["phase"] = fake["phases"].pop(0)
        # A read that changes nothing must not undo what somebody else writes meanwhile.
        if found != json.loads(text):
            replace(path, found)
        return found

    def watch(self, path: Path, template: str) -> None:
        """Print an object whenever it has changed, as an event, until it is gone."""
        last, event = None, "ADDED"
        while (found := self.read(path)) is not None:
            if found != last:
                print(render(template, {"type": event, "object": found}), end="", flush=True)
            last, event = found, "MODIFIED"
            time.sleep(0.02)
        print(render(template, {"type": "DELETED", "object": last or {}}), end="", flush=True)

    def apply(self, applied: dict[str, Any]) -> dict[str, Any]:
        """Make one, which behaves as the file ``applied-behave.json`` says; one that is there keeps its UID."""
        path = self.path(f"{applied['kind'].lower()}s", applied["metadata"]["name"])
        path.parent.mkdir(parents=True, exist_ok=True)
        behaviour = self.folder / "applied-behave.json"
        uid = json.loads(path.read_text())["metadata"]["uid"] if path.exists() else self.fresh_uid(path)
        made: dict[str, Any] = {**applied, "metadata": {**applied["metadata"], "uid": uid}}
        made |= json.loads(behaviour.read_text()) if behaviour.exists() else {}
        replace(path, made)
        return made

    def create(self, made: dict[str, Any]) -> None:
        """Make one that isn't there yet; a file ``refuse-create`` holds what the API server says instead."""
        refusal = self.folder / "refuse-create"
        if refusal.exists():
            stop(refusal.read_text())
        if self.path(f"{made['kind'].lower()}s", made["metadata"]["name"]).exists():
            stop(f'Error from server (AlreadyExists): error when creating "STDIN": {made["kind"]} "{made["metadata"]["name"]}" already exists')
        self.apply(made)

    def patch(self, path: Path, changes: dict[str, Any]) -> None:
        """Change fields of its spec."""
        found = json.loads(path.read_text())
        found["spec"] = {**found.get("spec", {}), **changes["spec"]}
        replace(path, found)

    def fresh_uid(self, path: Path) -> str:
        """Make a UID for an object of a name, which may come again and then gets another."""
        names = path.with_suffix(".uids")
        with names.open("a") as file:
            file.write(".")
        again = names.stat().st_size
        return f"applied-{path.stem}" + (f"-{again}" if again > 1 else "")

    def delete_by_path(self, raw: str, options: dict[str, Any]) -> None:
        """Delete as ``kubectl delete --raw`` does with a body. One without a UID is refused here, as no script may send it."""
        match = _OBJECT_PATH.fullmatch(raw)
        if not match or not match["name"] or match["namespace"] != "argo" or _GROUPS.get(match["plural"]) != match["group"]:
            stop("Error from server (NotFound): the server could not find the requested resource")
        if options.keys() - {"preconditions", "propagationPolicy"} or options.get("propagationPolicy") not in ("Foreground", "Background"):
            stop(f"Error from server (BadRequest): unknown delete options {options}")
        wanted = options.get("preconditions", {}).get("uid")
        if not wanted:
            stop("fake kubectl: a deletion without a UID")
        path = self.path(match["plural"], match["name"])
        if not path.exists():
            stop(f'Error from server (NotFound): {match["plural"]} "{match["name"]}" not found')
        there = json.loads(path.read_text())["metadata"]["uid"]
        if there != wanted:
            conflict = f"the UID in the precondition ({wanted}) does not match the UID in record ({there}). "
            conflict += "The object might have been deleted and then recreated"
            stop(f'Error from server (Conflict): Operation cannot be fulfilled on {match["plural"]} "{match["name"]}": {conflict}')
        self.delete(path)

    def delete(self, path: Path) -> None:
        """Mark one as deleted."""
        found = json.loads(path.read_text())
        found["metadata"]["deletionTimestamp"] = "2024-01-01T00:00:00Z"
        if found.get("fake", {}).get("goneAfter", 0) == 0:
            path.unlink()
        else:
            replace(path, found)
        if ends := found.get("fake", {}).get("endsPods"):
            for pod in list(self.objects("pods", ends, living=False)):
                self.delete(self.path("pods", pod["metadata"]["name"]))


def events_of(store: Store, selector: str) -> Iterator[dict[str, Any]]:
    """List the events of one object, which are kept as ``events/<name>.json``."""
    wanted = dict(part.split("=") for part in selector.split(","))
    for found in store.objects("events", "", living=False):
        if all(found["involvedObject"].get(name.removeprefix("involvedObject.")) == value for name, value in wanted.items()):
            yield found


def main() -> None:
    """Answer one call."""
    folder = Path(os.environ["FAKE_KUBECTL_FOLDER"])
    words, flags = list[str](), dict[str, str]()
    arguments = iter(sys.argv[1:])
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument in _FLAGS_WITH_VALUE:
            flags[argument] = next(arguments)
        elif argument.startswith("-"):
            flags[name] = value if equals else "true"
        else:
            words.append(argument)
    with (folder / "calls.log").open("a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.write(json.dumps(sys.argv[1:]) + "\n")
    hang_on = folder / "hang-on"
    while hang_on.exists() and hang_on.read_text() in sys.argv:
        time.sleep(0.02)
    with (folder / "calls.log").open("a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        failures = folder / "failures"
        if failures.exists() and (left := int(failures.read_text())) > 0:
            failures.write_text(str(left - 1))
            stop("The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?")
        if "--watch" in flags:
            fcntl.flock(log, fcntl.LOCK_UN)
        run(Store(folder), words, flags)


def get(store: Store, resource: str, name: str, flags: dict[str, str]) -> None:
    """Print one object, now or at every change."""
    template = flags["-o"].removeprefix("jsonpath=")
    if "--watch" in flags:
        store.watch(store.path(resource, name), template)
        return
    found = store.read(store.path(resource, name))
    if found is not None:
        sys.stdout.write(render(template, found))
    elif "--ignore-not-found" not in flags:
        stop(f'Error from server (NotFound): {resource} "{name}" not found')


def run(store: Store, words: list[str], flags: dict[str, str]) -> None:
    """Do what the call says."""
    if flags.get("--namespace") != "argo" or (flags.get("--field-selector", _FIELD_SELECTOR) != _FIELD_SELECTOR and "events" not in words):
        stop("fake kubectl: another namespace, or another field selector than the one it knows")
    match words:
        case ["get"] if "--raw" in flags:
            list_by_path(store, flags["--raw"])
        case ["get", "events"]:
            items = list(events_of(store, flags["--field-selector"]))
            sys.stdout.write(render(flags["-o"].removeprefix("jsonpath="), {"items": items}))
        case ["get", resources]:
            living, selector = "--field-selector" in flags, flags.get("--selector", "")
            items = [found for resource in resources.split(",") for found in store.objects(resource, selector, living=living)]
            sys.stdout.write(render(flags["-o"].removeprefix("jsonpath="), {"items": items}))
        case ["get", resource, name]:
            get(store, resource, name, flags)
        case ["delete"] if "--raw" in flags and flags.get("-f") == "-":
            store.delete_by_path(flags["--raw"], json.loads(sys.stdin.read()))
        case ["apply"]:
            made = store.apply(json.loads(sys.stdin.read()))
            sys.stdout.write(render(flags["-o"].removeprefix("jsonpath="), made) if "-o" in flags else "")
        case ["create"]:
            store.create(json.loads(sys.stdin.read()))
        case ["patch", resource, name]:
            store.patch(store.path(resource, name), json.loads(flags["--patch"]))
        case _:
            stop(f"fake kubectl: unknown call {words}")


def list_by_path(store: Store, raw: str) -> None:
    """Print a list as the API server sends it."""
    url = urlsplit(raw)
    match = _OBJECT_PATH.fullmatch(url.path)
    if not match or match["name"] or match["namespace"] != "argo" or _GROUPS.get(match["plural"]) != match["group"]:
        stop("Error from server (NotFound): the server could not find the requested resource")
    selector = parse_qs(url.query).get("labelSelector", [""])[0]
    items = list(store.objects(match["plural"], selector, living=False))
    json.dump({"apiVersion": "v1", "items": items, "kind": _KINDS[match["plural"]] + "List"}, sys.stdout, separators=(",", ":"))


if __name__ == "__main__":
    main()
