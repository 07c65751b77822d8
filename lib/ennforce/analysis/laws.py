"""Laws of growth: effective exponents, and which of a power, Allen-Cahn's and a logarithmic law L(t) follows (PHYSICS P7)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

# L = a t^alpha, L^2 = a + b t, L = a + b ln t. Each is a straight line of some y(L) against some x(t): (x, y, L from y).
LAWS: dict[str, tuple[Callable, Callable, Callable]] = {
    "power": (np.log, np.log, np.exp),
    "allen_cahn": (lambda time: time, np.square, lambda y: np.sqrt(np.maximum(y, 0.0))),
    "logarithm": (np.log, lambda length: length, lambda y: y),
}


def slope(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Slope of the straight line through y against x with weights, along the last axis; NaN where under three points count.

    A point counts where y is finite and its weight exceeds a tenth; the others with their weight.
    """
    weight = np.where(np.isfinite(y), weight, 0.0)
    y = np.where(np.isfinite(y), y, 0.0)
    total = weight.sum(axis=-1, keepdims=True)
    fitted = np.count_nonzero(weight > 0.1, axis=-1) >= 3
    with np.errstate(invalid="ignore", divide="ignore"):
        centred = x - (weight * x).sum(axis=-1, keepdims=True) / total
        return np.where(fitted, (weight * centred * y).sum(axis=-1) / (weight * centred**2).sum(axis=-1), np.nan)


def effective_exponent(time: np.ndarray, length: np.ndarray, smoothing: float) -> np.ndarray:
    """alpha(t) = d ln L / d ln t by straight lines fitted in ln t with Gaussian weights of width ``smoothing``.

    NaN where L is NaN or fewer than three points carry weight; shape of ``length`` (..., time).
    """
    x, y = np.log(time), np.log(length)
    weight = np.exp(-0.5 * ((x - x[:, None]) / smoothing) ** 2)
    return np.where(np.isfinite(y), slope(x, y[..., None, :], weight), np.nan)


def line_exponent(time: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Slope of one straight line through ln L against ln t, (..., time) to (...); NaN with fewer than three finite points."""
    return slope(np.log(time), np.log(length), np.ones(len(time)))


SHIFTED = np.linspace(0.1, 1.0, 181)  # exponents that are tried


def shifted_exponent(time: np.ndarray, length: np.ndarray) -> np.ndarray:
    """The alpha in ``SHIFTED`` for which L = (a + b t)^alpha fits best, (..., time) to (...); NaN below five finite times.

    A power law with a start that counts: a > 0 is a head start, a < 0 a late one. For each alpha, L^(1/alpha) is a straight line
    in t; residuals are those of ln L, with equal weights. An answer at an end of ``SHIFTED`` says that no exponent inside fits.
    """
    usable = np.isfinite(length).all(axis=tuple(range(length.ndim - 1)))
    if np.count_nonzero(usable) < 5:
        return np.full(length.shape[:-1], np.nan)
    x, log_length = time[usable] / time[usable].max(), np.log(length[..., usable])
    misfits = []
    for alpha in SHIFTED:
        y = np.exp((log_length - log_length.max(axis=-1, keepdims=True)) / alpha)
        weight = (alpha / y) ** 2
        total = weight.sum(axis=-1, keepdims=True)
        centred = x - (weight * x).sum(axis=-1, keepdims=True) / total
        rise = y - (weight * y).sum(axis=-1, keepdims=True) / total
        gradient = (weight * centred * rise).sum(axis=-1, keepdims=True) / (weight * centred**2).sum(axis=-1, keepdims=True)
        misfits.append((weight * (rise - gradient * centred) ** 2).sum(axis=-1))
    return SHIFTED[np.argmin(misfits, axis=0)]


def law_misfit(law: str, time: np.ndarray, length: np.ndarray, resampled: np.ndarray, replicas: int) -> tuple[float, float]:
    """How badly L(t) follows a law of ``LAWS``: (curvature in standard errors, rms residual relative to L).

    In the coordinates that make the law a straight line, the curvature is the coefficient of a parabola's square; its error
    comes from the bootstrap means ``resampled`` (count, time), which know that the times of one run are correlated. Under the
    true law it is distributed like Student's t with about replicas - 1 degrees of freedom; its sign tells the way: negative
    where L grows more slowly, at late times, than the law. (NaN, NaN) with fewer than five times or two replicas.
    """
    usable = np.isfinite(length) & np.isfinite(resampled).all(axis=0)
    if np.count_nonzero(usable) < 5 or replicas < 2:
        return float("nan"), float("nan")
    abscissa, ordinate, inverse = LAWS[law]
    x, y, samples = abscissa(time[usable]), ordinate(length[usable]), ordinate(resampled[:, usable])
    x = (x - x.mean()) / np.ptp(x)
    spread = samples.std(axis=0)
    weight = 1.0 / np.maximum(spread, 1e-3 * spread.max() + 1e-300)
    curvature = np.polyfit(x, y, 2, w=weight)[0]
    error = np.std(np.polyfit(x, samples.T, 2, w=weight)[0]) * np.sqrt(replicas / (replicas - 1))
    line = inverse(np.polyval(np.polyfit(x, y, 1, w=weight), x))
    residual = np.sqrt(np.mean((line / length[usable] - 1.0) ** 2))
    return float(curvature / error) if error > 0 else float("nan"), float(residual)
