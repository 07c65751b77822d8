"""Figure: force error on the same quench snapshots against microseconds per site: networks, local expansions, diagonalisation."""

from __future__ import annotations

from matplotlib.figure import Figure

from ennforce.figures import style

CATEGORY = "Error against cost"
TARGETS = ("frontier",)
STAGE = "frontier"
INPUTS = {"comparison": "frontier/comparison.json"}
CAPTION = """\
Relative force error on held-out quench snapshots against the cost per site on one thread. Networks: "own" is the
study's, the others were trained on its data for the same time. Squares: kernel polynomials at falling tolerance, against exact
diagonalisation. Green: a network that the solver corrects on a share of the sites at every step; its error is that of the mean
over draws. Dotted: error of the labels. Triangles: cost of exact diagonalisation, which has no error and whose cost per site
grows as N².
"""


def draw(comparison: dict) -> Figure:
    """``comparison``: rows of networks and of solvers, with the errors of the labels (frontier/comparison.json)."""
    drawing, axes = style.figure(height=85)
    families: dict[str, list[dict]] = {}
    for row in sorted(comparison["networks"], key=lambda row: not row["method"].startswith("enn")):
        families.setdefault(row["method"], []).append(row)
    looks = style.series(len(families))
    for (kind, rows), look in zip(families.items(), looks, strict=True):
        rows.sort(key=lambda row: row["microseconds_1_thread"])
        cost, error = ([row[key] for row in rows] for key in ("microseconds_1_thread", "reference_relative"))
        axes.plot(cost, [100 * e for e in error], label=kind.replace("_", " "), **{**look, "ls": "none"})
        if len(rows) > 1:  # ours: the names tell widths and forms
            for n, (row, x, y) in enumerate(zip(rows, cost, error, strict=True)):
                place = (4, 3) if n % 2 == 0 else (-2, -9)  # neighbours above and below their points
                axes.annotate(row["name"], (x, 100 * y), place, textcoords="offset points", fontsize=6, color=look["color"])
    for solved, line, name in (
        (comparison["local"], "s-", "local expansion of fixed effort"),
        (sorted(comparison["kpm"], key=lambda row: row["tolerance"]), "s:", "the same within a tolerance"),
    ):
        axes.plot(
            [row["microseconds"]["1"] for row in solved], [100 * row["errors"]["against_exact"]["relative"] for row in solved],
            line, color=style.ENGINES["kpm"].color, ms=4, label=name, fillstyle="full" if line == "s-" else "none",
        )  # fmt: skip
    names = dict.fromkeys(row["network"] for row in comparison["corrected"])
    for name, line in zip(names, ("^-", "^--"), strict=False):
        rows = [row for row in comparison["corrected"] if row["network"] == name]
        rows.sort(key=lambda row: row["microseconds"]["1"])
        axes.plot(
            [row["microseconds"]["1"] for row in rows], [100 * row["errors"]["against_exact"]["relative"] for row in rows],
            line, color=style.ENGINES["corrected"].color, ms=4,
            label=f"{name.replace('_', ' ')}, corrected on 1/{round(1 / rows[0]['share'])}",
        )  # fmt: skip
    axes.axhline(100 * comparison["label_errors"]["relative"], color=style.REFERENCE, lw=0.8, ls=":", label="labels")
    axes.set(xscale="log", yscale="log", xlabel="microseconds per site, one thread", ylabel="relative force error (%)")
    # Diagonalisation has no error that a logarithmic axis could show: its cost is marked on the axis itself.
    for n, row in enumerate(comparison["exact"]):
        label = f"exact diagonalisation\n(threads: {comparison['threads']})" if n == 0 else None
        axes.plot(
            row["microseconds"], 0.0, "v", color="black", ms=5, clip_on=False, transform=axes.get_xaxis_transform(), label=label
        )
        axes.annotate(
            f"{row['size']}²", (row["microseconds"], 0.0), (0, 5), xycoords=axes.get_xaxis_transform(),
            textcoords="offset points", ha="center", fontsize=6,
        )  # fmt: skip
    style.plain_log_ticks(axes.yaxis)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawing
