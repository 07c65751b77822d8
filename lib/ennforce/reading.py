"""Strict reading of configurations: numbers that are numbers, keys that stand there once, the key that was meant.

Imported while the Snakefile is parsed, so nothing heavy is imported here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml

LARGEST = 10**12  # of any number in a configuration: what is larger is a slip, and an overflow somewhere


def require_plain(value: Any, annotation: Any) -> None:
    """Raise ValueError where a value for a setting is only nearly of its type: true for 1, 1 for true, text for a whole number.

    Also on numbers larger than LARGEST. What is wrong in other ways is left to the types themselves.
    """
    kinds = set(_kinds(annotation))
    for one in _leaves(value):
        if isinstance(one, bool):
            if bool not in kinds and kinds & {int, float}:
                raise ValueError(f"{str(one).lower()} is not a number")
        elif bool in kinds and isinstance(one, int | float | str):
            raise ValueError("write true or false")
        elif isinstance(one, int | float) and LARGEST < abs(one) < float("inf"):
            raise ValueError(f"beyond {LARGEST:.0e}, more than any setting needs")
        elif isinstance(one, str) and int in kinds and str not in kinds and (whole := _whole(one)) is not None:
            raise ValueError(f"text to YAML, not a whole number: write {whole}")


def _whole(text: str) -> int | None:
    """The whole number that a text as 1e3 means, if it does not say so: "4", as --config hands it over, does."""
    if re.fullmatch(r"\s*[+-]?\d+\s*", text):
        return None
    try:
        return int(float(text)) if float(text) == int(float(text)) else None
    except (ValueError, OverflowError):
        return None


def _kinds(annotation: Any) -> Iterator[type]:
    """The plain types in an annotation."""
    if parts := get_args(annotation):
        for part in parts:
            yield from _kinds(part)
    elif isinstance(annotation, type):
        yield annotation


def _leaves(value: Any, depth: int = 3) -> Iterator[Any]:
    """A value, or those in its lists; what is under a name is looked at by its own section."""
    if isinstance(value, list) and depth:
        for one in value[:1000]:
            yield from _leaves(one, depth - 1)
    else:
        yield value


def nearest(key: str, allowed: Iterable[str], elsewhere: Iterable[str] = ()) -> str:
    """'; did you mean ...?' with the setting of a like name, or the place of that name in another section; empty where none is."""
    found = difflib.get_close_matches(key, list(allowed), 1) or [name for name in elsewhere if name.split(".")[-1] == key][:1]
    return f"; did you mean {found[0]}?" if found else ""


class _TwiceError(Exception):
    pass


class _Unique(yaml.SafeLoader):
    """Refuses a mapping with a key that stands there twice, of which YAML would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise _TwiceError(f"{key.value} stands there twice, in lines {seen[key.value]} and {line}: keep one")
                seen[key.value] = line
        return super().construct_mapping(node, deep)


@cache
def repeated_key(path: str | Path) -> str | None:
    """In one line with file and lines, which key a YAML file has twice; None where it has none, or is no YAML."""
    try:
        yaml.load(Path(path).read_text(encoding="utf-8"), _Unique)  # a safe loader
    except _TwiceError as error:
        return f"{path}: {error}"
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError):
        pass  # told by Snakemake, which reads it too
    return None
