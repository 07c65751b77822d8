"""The cluster profile: resources and groups for rules that exist."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_profile_names_rules_that_exist():
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
    text = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    rules = set(re.findall(r"^ *(?:rule|use rule \w+ as) (\w+)(?::| with:)", text, re.MULTILINE))
    assert set(profile["set-resources"]) | set(profile["groups"]) <= rules
