"""What follows from the repo list: the ConfigMaps that runs read, and the table of keys for people."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from config.branch_patterns import covers, is_pattern, most_exact_first
from config.errors import PREFIX, ConfigError
from config.semaphore_keys import branch_key, default_key
from config.settings import Repo, StackConfig

REPOS_FILE: Final = "repos.tsv"
"""The one file in the ConfigMap ``coderun-repos``."""

CONFIG_MAP_BYTES: Final = 1024 * 1024
"""Most bytes of keys and values in one ConfigMap (Kubernetes' ``MaxSecretSize``, used for ConfigMaps too)."""

REQUEST_BYTES: Final = 1536 * 1024 - 32 * 1024
"""Most bytes of one object: what etcd takes by default (``--max-request-bytes``), less room for the object's head."""

_OWNERSHIP_BYTES: Final = len('"f:":{},')
"""What Kubernetes notes for each key of a ConfigMap, beside the key itself, to know who set it (``managedFields``)."""


class KeyRow(NamedTuple):
    """A line of ``make keys``."""

    repo: str
    branch: str
    key: str
    limit: int


def repos_tsv(config: StackConfig) -> str:
    """Write what a run must know of repos and credentials, for ``resolve`` and ``init-worktree`` to look up.

    Tab separated and sorted, the first field says the kind of line::

        credential  owner  githubApp  secretName
        repo        owner  name       active|paused  defaultKey  [key=branch]… [key=pattern]…
        content     owner  name       refuse|empty   refuse|pointers

    Patterns follow the branches, the most exact one first: the first that covers a branch counts. The last kind, submodules
    and LFS, only for repos that aren't at the defaults.

    Raises:
        ConfigError: It would not fit into a ConfigMap.
    """
    lines = sorted(f"credential\t{one.owner}\t{one.github_app}\t{one.secret}" for one in config.credentials)
    lines += sorted(
        "\t".join(
            (
                "repo",
                repo.owner,
                repo.name,
                "paused" if repo.paused else "active",
                default_key(repo.owner, repo.name),
                *(f"{branch_key(repo.owner, repo.name, branch)}={branch}" for branch in _in_order(repo)),
            ),
        )
        for repo in config.repos
    )
    lines += sorted(
        f"content\t{repo.owner}\t{repo.name}\t{repo.submodules}\t{repo.lfs}"
        for repo in config.repos
        if (repo.submodules, repo.lfs) != ("refuse", "refuse")
    )
    text = "".join(f"{line}\n" for line in lines)
    _refuse_too_large("coderun-repos", len(REPOS_FILE) + len(text.encode()), keys=(REPOS_FILE,))
    return text


def semaphore_limits(config: StackConfig) -> dict[str, str]:
    """Make the data of the ConfigMap ``workflow-semaphores``: key to limit, sorted by key.

    Raises:
        ConfigError: It would not fit into a ConfigMap.
    """
    data = {row.key: str(row.limit) for row in sorted(key_table(config), key=lambda row: row.key)}
    _refuse_too_large("workflow-semaphores", sum(len(key) + len(limit) for key, limit in data.items()), data)
    return data


def key_table(config: StackConfig) -> list[KeyRow]:
    """List every semaphore, repo by repo in the list's order: its default (whose branch is ``*``), branches, patterns."""
    rows: list[KeyRow] = []
    for repo in config.repos:
        name = f"{repo.owner}/{repo.name}"
        rows.append(KeyRow(name, "*", default_key(repo.owner, repo.name), repo.default_limit))
        rows.extend(KeyRow(name, branch, branch_key(repo.owner, repo.name, branch), repo.branches[branch]) for branch in _in_order(repo))
    return rows


def key_of(repo: Repo, branch: str | None) -> str:
    """Pick the semaphore of a run. ``payload/resolve.sh`` does the same with the file of :func:`repos_tsv`.

    Args:
        repo: The run's repository.
        branch: The short name of the branch that the run's work is for, or None if that is a tag, a commit or the like.
    """
    if branch is None:
        return default_key(repo.owner, repo.name)
    if branch in repo.branches and not is_pattern(branch):
        return branch_key(repo.owner, repo.name, branch)
    for pattern in _in_order(repo):
        if is_pattern(pattern) and covers(pattern, branch):
            return branch_key(repo.owner, repo.name, pattern)
    return default_key(repo.owner, repo.name)


def _in_order(repo: Repo) -> list[str]:
    named = sorted(branch for branch in repo.branches if not is_pattern(branch))
    return named + most_exact_first(branch for branch in repo.branches if is_pattern(branch))


def _refuse_too_large(config_map: str, size: int, keys: Iterable[str]) -> None:
    stored = size + sum(len(key) + _OWNERSHIP_BYTES for key in keys)
    if size > CONFIG_MAP_BYTES or stored > REQUEST_BYTES:
        held, most = (size, CONFIG_MAP_BYTES) if size > CONFIG_MAP_BYTES else (stored, REQUEST_BYTES)
        problem = (
            f"{PREFIX}repos: the ConfigMap {config_map} would take {held} bytes, more than the {most} that Kubernetes allows. "
            "Remedy: list fewer branches with limits of their own, or one pattern for many, or spread the repos over two stacks in two namespaces"
        )
        raise ConfigError("repo list", [problem])
