"""The command line: ``ennforce export`` and ``ennforce shelve``. Errors are one line, with exit status 2.

Torch is imported only where a command needs it, so that ``ennforce --help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ennforce import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 2 after an error, which argparse raises as SystemExit where it is its own."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, RuntimeError, OSError) as error:  # whose messages are for the user
        print(f"ennforce {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ennforce", description="Trained force networks for other programs and other studies.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("export", help="write a trained network as plain C and as a .pt2 of torch.export (docs/export.md)")
    one.add_argument("model", type=Path, help="folder of a trained network, as results/default/models/enn or trained/default")
    one.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where the files are written")
    one.add_argument("--name", default="network", help="begins the names of files and of functions in C (default: network)")
    one.add_argument("--format", choices=("c", "pt2", "both"), default="both", help="default: both")
    one.add_argument("--model-class", metavar="FILE.py:CLASS", help="the lattice model of your own that it was trained for")
    one.set_defaults(run=_export)
    one = commands.add_parser("shelve", help="put the network of a finished study on the shelf, for network.from of other studies")
    one.add_argument("study", type=Path, help="folder of the finished study, as results/default")
    one.add_argument("--to", type=Path, default=Path("trained"), metavar="FOLDER", help="the shelf (default: trained)")
    one.add_argument("--model-class", metavar="FILE.py:CLASS", help="the lattice model of your own that it was trained for")
    one.set_defaults(run=_shelve)
    return parser


def _export(options: argparse.Namespace) -> None:
    from ennforce.exporting import require_name, write_c, write_pt2
    from ennforce.forces import NetworkForces
    from ennforce.models import register

    require_name(options.name)
    if options.model_class:
        register(options.model_class)
    forces = NetworkForces.load(options.model)
    written, refused = [], []
    if options.format in ("c", "both"):
        try:
            written += write_c(forces, options.to, options.name)
        except ValueError as error:
            refused.append(error)
    if options.format in ("pt2", "both"):
        try:
            write_pt2(forces, options.to / f"{options.name}.pt2")
            written.append(options.to / f"{options.name}.pt2")
        except ValueError as error:
            refused.append(error)
    if not written:
        raise ValueError("; ".join(map(str, refused)))
    for reason in refused:
        print(f"left out: {reason}")
    print(f"written: {', '.join(map(str, written))}")


def _shelve(options: argparse.Namespace) -> None:
    from ennforce.models import register
    from ennforce.shelving import shelve

    if options.model_class:
        register(options.model_class)
    entry = shelve(options.study, options.to)
    told = ", ".join(f"{100 * error['relative']:.2f} % on {kind}" for kind, error in entry.told["held_out"].items())
    print(f"{entry.folder}: digest {entry.digest}; held-out errors {told}")


if __name__ == "__main__":
    sys.exit(main())
