"""Ten thousand repositories with two thousand limits of branches: time to check and to render them, and sizes of what is made.

``python -m benchmarks.many_repos``: results as JSON; the exit code is 1 if one is above its threshold. Needs no cluster and no engine.
"""

import base64
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import yaml

from components.render import render
from config.errors import PREFIX
from config.repos import CONFIG_MAP_BYTES
from config.stack_file import load_stack_file

REPOS: Final = 10_000
BRANCHES: Final = 2_000

THRESHOLDS: Final = {
    # Three to four times what one slow core took (1.1 s and 6.9 s): what is looked for is work that grows faster than the list.
    "check_cpu_seconds": 4.0,
    "render_cpu_seconds": 20.0,
    # Kubernetes' own limit for the data of one ConfigMap.
    "semaphores_bytes": CONFIG_MAP_BYTES,
    "repos_bytes": CONFIG_MAP_BYTES,
    # A Sensor reaches its pod in base64 in one environment variable, and Linux takes no longer one than 128 KiB. A half, for what Argo Events adds.
    "sensor_environment_bytes": 64 * 1024,
    # etcd's default for one object is 1.5 MiB, and Argo stores the template in each workflow's status, of at most 1 MiB together with its steps.
    "workflow_template_bytes": 512 * 1024,
}
"""Most of each result."""


def write_stack(folder: Path) -> Path:
    """Write a stack file with that many repositories, and events; with the list in a file of its own, as a large one would be."""
    repos = [
        {"owner": f"organisation{number % 9}", "name": f"repository-number-{number}", **({"branches": {"main": 3}} if number < BRANCHES else {})}
        for number in range(REPOS)
    ]
    (folder / "repos.yaml").write_text(yaml.safe_dump(repos), encoding="utf-8")
    settings = {
        "images": {"workspace": "registry.example.com/workspace:1"},
        "reposFile": "repos.yaml",
        "events": {"webhookSecret": {"secure": "v1:bWFkZQ==:dXA="}},
    }
    path = folder / "Pulumi.large.yaml"
    path.write_text(yaml.safe_dump({"config": {PREFIX + key: value for key, value in settings.items()}}), encoding="utf-8")
    return path


def measure(folder: Path) -> dict[str, float]:
    """Take the times and sizes, by the names of the thresholds."""
    path = write_stack(folder)
    begin = time.process_time()
    load_stack_file(path)
    checked = time.process_time()
    files, _ = render(path)
    rendered = time.process_time()
    sensor = yaml.safe_load(files["sensor-argo-events-repo-workflow-sensor.yaml"])
    return {
        "check_cpu_seconds": round(checked - begin, 2),
        "render_cpu_seconds": round(rendered - checked, 2),
        "semaphores_bytes": _data_bytes(files["configmap-argo-workflow-semaphores.yaml"]),
        "repos_bytes": _data_bytes(files["configmap-argo-coderun-repos.yaml"]),
        "sensor_environment_bytes": len(base64.b64encode(json.dumps(sensor).encode())),
        "workflow_template_bytes": len(json.dumps(yaml.safe_load(files["workflowtemplate-argo-coderun-template.yaml"])).encode()),
    }


def _data_bytes(manifest: str) -> int:
    data: dict[str, str] = yaml.load(manifest, Loader=yaml.CSafeLoader)["data"]
    return sum(len(key.encode()) + len(value.encode()) for key, value in data.items())


def main() -> int:
    """Measure and print; 1 if a result is above its threshold."""
    with tempfile.TemporaryDirectory(prefix="coderun-many-repos-") as name:
        results = measure(Path(name))
    print(json.dumps({name: {"result": result, "threshold": THRESHOLDS[name]} for name, result in results.items()}, indent=2))
    above = [name for name, result in results.items() if result > THRESHOLDS[name]]
    for name in above:
        print(f"above its threshold: {name}", file=sys.stderr)
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main())
