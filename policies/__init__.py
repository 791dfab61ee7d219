"""The policy pack: one module a family of rules.

Each rule is a ``ResourceValidationPolicy``; the engine runs them at preview and update (``--policy-pack policies``),
:mod:`policies.check` over a folder of rendered YAML.
"""

from typing import Final

PACK_NAME: Final = "coderun-workspaces"
