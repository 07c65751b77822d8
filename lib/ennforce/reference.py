"""The reference of all settings of a study, written from the configuration's own types: ``config/README.md``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ennforce.config import json_schema

HEAD = """# Settings of a study

Written by `make schema` from the types in `lib/ennforce/sections.py`; a test keeps it equal to them. A file in this folder
holds only what differs from the defaults, and `snakemake --configfile config/NAME.yaml` runs it. `--config seed=2` sets one
value from the command line. An impossible setting is refused, in one line, before the first job. Energies are in units of the
hopping t of the model, times in 1/t. A dot leads into a section: `data: {split: {train: 0.6}}` sets `data.split.train`.

"""
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<", "multipleOf": "multiple of"}


def reference() -> str:
    """The page, in Markdown."""
    schema = json_schema()
    sections = schema["$defs"]
    plain: list[tuple[str, dict]] = []
    named: list[tuple[str, dict]] = []
    for key, entry in schema["properties"].items():
        section = _section(entry, sections)
        (named if section else plain).append((key, section or entry))
    text = HEAD + "## At the top level\n\n" + _table(plain, sections)
    for key, section in named:
        text += f"\n## `{key}`\n\n{_one_line(section.get('description', ''))}\n\n" + _table(section["properties"].items(), sections)
    return text


def _section(entry: dict, sections: dict) -> dict | None:
    """The section that an entry refers to, if it does."""
    name = entry.get("$ref", "").removeprefix("#/$defs/")
    return sections.get(name)


def _table(rows: Any, sections: dict) -> str:
    head = "| setting | default | allowed | what it is |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(cells)} |\n" for cells in _rows(rows, sections, ""))


def _rows(rows: Any, sections: dict, prefix: str) -> Iterator[tuple[str, ...]]:
    """Cells of every setting, those of sections within a section by dotted key."""
    for key, entry in rows:
        if section := _section(entry, sections):
            yield from _rows(section["properties"].items(), sections, f"{prefix}{key}.")
        else:
            yield f"`{prefix}{key}`", _default(entry), _allowed(entry, sections), _description(entry)


def _default(entry: dict) -> str:
    if "default" not in entry or entry["default"] is None:
        return "–"
    value = json.dumps(entry["default"], ensure_ascii=False)
    return f"`{value}`" if len(value) <= 60 else "see `sections.py`"


def _allowed(entry: dict, sections: dict) -> str:
    """Types and bounds in words."""
    if section := _section(entry, sections):
        return "a section with any of " + ", ".join(f"`{key}`" for key in section["properties"])
    if "anyOf" in entry:
        return " or ".join(dict.fromkeys(_allowed(one, sections) for one in entry["anyOf"]))
    if "enum" in entry or "const" in entry:
        return ", ".join(f"`{one}`" for one in entry.get("enum", [entry.get("const")]))
    if entry.get("type") == "null":
        return "none"
    if entry.get("type") == "array":
        items = entry.get("items") or {"type": "values of given types"}
        return f"list of {_allowed(items, sections)}"
    if entry.get("type") == "object":
        inner = next(iter(entry.get("patternProperties", {}).values()), entry.get("additionalProperties"))
        return "by name: " + (_allowed(inner, sections) if isinstance(inner, dict) and inner else "any")
    words = {"number": "number", "integer": "whole number", "string": "text", "boolean": "`true`, `false`"}
    bounds = [f"{sign} {entry[key]:g}" for key, sign in BOUNDS.items() if key in entry]
    return " ".join([words.get(entry.get("type", ""), entry.get("type", "any")), ", ".join(bounds)]).strip()


def _description(entry: dict) -> str:
    """The description of the entry, or of the first of its alternatives that has one."""
    found = [one["description"] for one in (entry, *entry.get("anyOf", [])) if "description" in one]
    return _one_line(found[0] if found else "")


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
