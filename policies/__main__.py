"""Starts the policy pack for the engine, which runs this folder and not the project's."""

import sys
from pathlib import Path

from pulumi_policy import PolicyPack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policies import PACK_NAME
from policies.rules import RULES

PolicyPack(name=PACK_NAME, policies=list(RULES))
