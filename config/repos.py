"""What follows from the repo list: the ConfigMaps that runs read, and the table of keys for people."""

from typing import Final, NamedTuple

from config.errors import PREFIX, ConfigError
from config.semaphore_keys import branch_key, default_key
from config.settings import StackConfig

REPOS_FILE: Final = "repos.tsv"
"""The one file in the ConfigMap ``coderun-repos``."""

CONFIG_MAP_BYTES: Final = 1024 * 1024
"""Most bytes of keys and values in one ConfigMap (Kubernetes' ``MaxSecretSize``, used for ConfigMaps too)."""


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
        repo        owner  name       active|paused  defaultKey  [key=branch]…
        content     owner  name       refuse|empty   refuse|pointers

    The last kind, submodules and LFS, only for repos that aren't at the defaults.

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
                *sorted(f"{branch_key(repo.owner, repo.name, branch)}={branch}" for branch in repo.branches),
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
    _refuse_too_large(len(REPOS_FILE) + len(text.encode()), "coderun-repos")
    return text


def semaphore_limits(config: StackConfig) -> dict[str, str]:
    """Make the data of the ConfigMap ``workflow-semaphores``: key to limit, sorted by key.

    Raises:
        ConfigError: It would not fit into a ConfigMap.
    """
    data = {row.key: str(row.limit) for row in sorted(key_table(config), key=lambda row: row.key)}
    _refuse_too_large(sum(len(key) + len(limit) for key, limit in data.items()), "workflow-semaphores")
    return data


def key_table(config: StackConfig) -> list[KeyRow]:
    """List every semaphore, repo by repo in the list's order; the default's branch is ``*``."""
    rows: list[KeyRow] = []
    for repo in config.repos:
        name = f"{repo.owner}/{repo.name}"
        rows.append(KeyRow(name, "*", default_key(repo.owner, repo.name), repo.default_limit))
        rows.extend(KeyRow(name, branch, branch_key(repo.owner, repo.name, branch), limit) for branch, limit in sorted(repo.branches.items()))
    return rows


def _refuse_too_large(size: int, config_map: str) -> None:
    if size > CONFIG_MAP_BYTES:
        problem = (
            f"{PREFIX}repos: the ConfigMap {config_map} would hold {size} bytes, more than the {CONFIG_MAP_BYTES} that Kubernetes allows. "
            "Remedy: list fewer branches with limits of their own, or spread the repos over two stacks in two namespaces"
        )
        raise ConfigError("repo list", [problem])
