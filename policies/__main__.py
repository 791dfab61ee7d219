"""Starts the policy pack for the engine, which runs this folder and not the project's."""

import sys
from pathlib import Path

from pulumi_policy import PolicyPack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from policies import PACK_NAME
from policies.rules import RULES
from policies.settings_file import SETTINGS_FILE, SettingsError, for_pack, read_settings

try:
    initial = for_pack(read_settings(SETTINGS_FILE, RULES), RULES)
except SettingsError as error:
    sys.exit(str(error))
PolicyPack(name=PACK_NAME, policies=[rule.policy for rule in RULES], initial_config=initial)
