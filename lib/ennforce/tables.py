"""Tables of results: rows of the same keys, as CSV for programs and as markdown for readers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from ennforce.files import write_text

FEWEST_REPLICAS = 4  # two or three give an error bar that is itself wrong by half and more


def scarce(replicas: int) -> str:
    """What a table says behind an error that rests on few replicas; empty where they suffice."""
    return "" if replicas >= FEWEST_REPLICAS else f" (too few replicas: {replicas})"


def write_table(
    files: Mapping[str, str], rows: Sequence[dict], before: str = "", after: str = "", shown: Sequence[dict] = ()
) -> None:
    """Write rows of the same keys to ``files["csv"]`` and, between two texts, to ``files["markdown"]``, as far as these are given.

    ``shown``: rows for readers, where they differ from those for programs.
    """
    if "csv" in files:
        write_text(files["csv"], as_csv(rows))
    if "markdown" in files:
        write_text(files["markdown"], "\n".join(filter(None, [before and before + "\n", as_markdown(shown or rows), after])))


def as_csv(rows: Sequence[dict]) -> str:
    """Rows of the same keys, with a header; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(rows: Sequence[dict]) -> str:
    """Rows of the same keys as a table in markdown, numbers to three digits."""

    def cell(value: object) -> str:
        return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
