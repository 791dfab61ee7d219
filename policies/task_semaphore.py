"""The policy on the lock that a task holds."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pulumi_policy import Severity
from pydantic import Field

from policies.definition import OPERATIONS, About, PolicySettings, Resource, resource_rule
from policies.inputs import at, items, mapping, text
from policies.vocabulary import RUN_ENTRYPOINTS, TASK_KINDS
from policies.workflows import WORKFLOW_KINDS, Template, Workflow, called, defined_workflow, made_objects, templates

_REMEDY: Final = "Remedy: put synchronization.semaphores with one configMapKeyRef on the template that calls it"


class _Settings(PolicySettings):
    task_kinds: tuple[str, ...] = Field(default=TASK_KINDS, description="Kinds of objects that are a task: what makes one has to hold a lock.")
    entrypoints: tuple[str, ...] = Field(
        default=RUN_ENTRYPOINTS, description="Templates that a Workflow may begin with, beside the entrypoint that its template names."
    )


def _faults(resource: Resource, settings: _Settings) -> Iterator[str]:
    found = defined_workflow(resource)
    if found is None:
        return
    listed = templates(found)
    yield from _faults_of_locks(found.path, found.spec)
    for template in listed:
        yield from _faults_of_locks(template.path, template.body)
    held = _keys(found.spec)
    for template in listed:
        for key in sorted(held & _keys(template.body)):
            yield f"{template.path}.synchronization asks for {key}, which the workflow already holds: it waits for itself. Remedy: leave one of them"
    if not _is_locked(found.spec):
        yield from _faults_of_tasks(found, listed, settings)


def _faults_of_locks(path: str, holder: Mapping[str, Any]) -> Iterator[str]:
    synchronization = mapping(holder.get("synchronization"))
    path = f"{path}.synchronization"
    for singular, plural in (("semaphore", "semaphores"), ("mutex", "mutexes")):
        if synchronization.get(singular) is not None:
            yield f"{path}.{singular} is the form that Argo 4 no longer reads. Remedy: write {plural} with one entry"
    locks = _locks(holder)
    if len(locks) > 1:
        yield f"{path} names {len(locks)} locks: workflows that each hold one of them wait for ever. Remedy: leave one"
    for semaphore in items(synchronization.get("semaphores")):
        reference = mapping(at(semaphore, "configMapKeyRef"))
        if not (text(reference.get("name")) and text(reference.get("key"))) and not text(at(semaphore, "database", "key")):
            yield f"{path}.semaphores names no key. Remedy: give configMapKeyRef with name and key"


def _faults_of_tasks(found: Workflow, listed: list[Template], settings: _Settings) -> Iterator[str]:
    unlocked = {template.name for template in _reached_without_lock(listed, {text(found.spec.get("entrypoint")), *settings.entrypoints})}
    for template in listed:
        made = [one for one in made_objects(template) if one.kind in settings.task_kinds]
        if made and template.name in unlocked:
            yield f"{template.path} makes a {made[0].kind} without a semaphore: nothing limits how many there are at once. {_REMEDY}"


def _reached_without_lock(listed: list[Template], starts: set[str]) -> list[Template]:
    by_name = {template.name: template for template in listed}
    names, reached = sorted(starts), []
    seen = set(names)
    while names:
        template = by_name.get(names.pop())
        if template is None or _is_locked(template.body):
            continue
        reached.append(template)
        new = called(template) - seen
        seen |= new
        names.extend(new)
    return reached


def _locks(holder: Mapping[str, Any]) -> list[Any]:
    synchronization = mapping(holder.get("synchronization"))
    singular = [one for one in (synchronization.get("semaphore"), synchronization.get("mutex")) if one is not None]
    return [*items(synchronization.get("semaphores")), *items(synchronization.get("mutexes")), *singular]


def _is_locked(holder: Mapping[str, Any]) -> bool:
    return bool(_locks(holder))


def _keys(holder: Mapping[str, Any]) -> set[str]:
    references = [mapping(at(lock, "configMapKeyRef")) for lock in _locks(holder)]
    return {f"{text(one.get('name'))}/{text(one.get('key'))}" for one in references if one}


TASK_SEMAPHORE: Final = resource_rule(
    About(
        name="task-semaphore",
        description="Whatever makes a task holds exactly one semaphore, written in the plural form.",
        remediation="Put synchronization.semaphores with one configMapKeyRef on the template that calls what makes the task.",
        severity=Severity.CRITICAL,
        framework=OPERATIONS,
        tags=("argo", "concurrency"),
    ),
    _Settings,
    WORKFLOW_KINDS,
    _faults,
)
