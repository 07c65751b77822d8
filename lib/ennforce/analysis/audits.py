"""What the audits of a trajectory say of the network that drove it: errors over time, by class of site (PHYSICS P12)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

ALL = "all sites"


def errors_along(chunks: Sequence[xr.Dataset]) -> xr.Dataset:
    """Errors of the force at every audited time, over all replicas, by class of site and of all sites together.

    Variables over (time, site_class): ``rms`` and its standard error ``rms_error`` over the draws, ``largest``, ``bias``, which is
    the mean of error times force over the mean square force, ``force_rms`` and ``share`` of the sites; NaN where a class had none.
    """
    names = ("sites", "squares", "fourth", "along", "force_square")
    sums = {name: _joined(chunks, name).sum("replica") for name in names}
    largest = _joined(chunks, "largest").max("replica")
    audited = sums["sites"].sum("site_class") > 0
    both = {name: _with_all(values.isel(time=audited.values)) for name, values in sums.items()}
    largest = largest.isel(time=audited.values)
    together = largest.max("site_class").expand_dims(site_class=[ALL])
    largest = xr.concat([largest, together], "site_class").transpose("time", "site_class")
    number = both["sites"].where(both["sites"] > 0)
    mean, fourth = both["squares"] / number, both["fourth"] / number
    rms = mean**0.5
    spread = ((fourth - mean**2).clip(min=0.0) / number) ** 0.5
    found = {
        "rms": (rms, "rms error of the network's force", "t"),
        "rms_error": (spread / (2.0 * rms), "its standard error over the draws", "t"),
        "largest": (largest.where(both["sites"] > 0), "largest error seen", "t"),
        "bias": (both["along"] / both["force_square"].where(both["force_square"] > 0), "mean of error times force over F^2", "1"),
        "force_rms": ((both["force_square"] / number) ** 0.5, "rms force", "t"),
        "share": (both["sites"] / both["sites"].sel(site_class=ALL), "share of the sites", "1"),
        "sites": (both["sites"], "sites drawn", "1"),
    }
    return xr.Dataset(
        {
            name: values.transpose("time", "site_class").assign_attrs(long_name=text, units=units)
            for name, (values, text, units) in found.items()
        }
    )


def _joined(chunks: Sequence[xr.Dataset], name: str) -> xr.DataArray:
    """Sums of one name of the replicas of all chunks."""
    return xr.concat([chunk[f"audit_{name}"] for chunk in chunks], "replica")


def _with_all(values: xr.DataArray) -> xr.DataArray:
    """Sums by class, and of all classes."""
    together = values.sum("site_class").expand_dims(site_class=[ALL])
    return xr.concat([values, together], "site_class")


def rows(along: xr.Dataset) -> list[dict]:
    """One row for each class of site: its errors over all audits of the run, every drawn site alike; None where it had none."""
    found = []
    for name in along["site_class"].values:
        one = along.sel(site_class=name)
        number = one["sites"].where(one["sites"] > 0)
        total, force = float(number.sum()), float((number * one["force_rms"] ** 2).sum())
        if not total > 0:
            found.append({"class": str(name), "sites": 0, "rms": None, "relative": None, "largest": None, "bias": None})
            continue
        square = float((number * one["rms"] ** 2).sum())
        found.append(
            {
                "class": str(name),
                "sites": int(total),
                "rms": float(np.sqrt(square / total)),
                "relative": float(np.sqrt(square / force)),
                "largest": float(one["largest"].max()),
                "bias": float((number * one["bias"] * one["force_rms"] ** 2).sum() / force),
            }
        )
    return found
