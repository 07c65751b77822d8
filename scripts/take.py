"""A network from the shelf in the place of one that is trained, with the entry that it came from in its description."""

import shutil
from pathlib import Path

from ennforce.io import DataError, provenance, read_json, write_atomically, write_json
from ennforce.shelving import check
from ennforce.workflow import Node, run_node


def main(node: Node) -> None:
    p = node.params
    entry = check(p["entry"])
    if entry.digest != p["digest"]:
        raise DataError(f"{entry.folder} has changed while the study was planned: run again")
    for name, file in (("weights", "weights.pt"), ("history", "history.csv")):
        write_atomically(node.output[name], lambda path, file=file: shutil.copyfile(entry.folder / file, path))
    facts = read_json(entry.folder / "model.json")
    told = {"entry": Path(p["entry"]).as_posix(), "digest": entry.digest, "provenance": provenance(node.parents)}
    write_json(node.output["model"], {**facts, "shelf": told})


run_node(main, globals())
