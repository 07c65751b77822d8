"""The cluster profiles: two ways to submit, one set of resources, for rules that exist."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
SLURM, GENERIC = (yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()) for name in ("slurm", "cluster-generic"))


def test_both_profiles_ask_for_the_same():
    same = ("jobs", "retries", "rerun-incomplete", "rerun-triggers", "latency-wait", "default-resources", "set-resources", "groups")
    for key in same:
        assert SLURM[key] == GENERIC[key], key


def test_profiles_name_rules_that_exist():
    text = "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    assert set(SLURM["set-resources"]) | set(SLURM["groups"]) <= set(re.findall(r"^rule (\w+):", text, re.MULTILINE))
