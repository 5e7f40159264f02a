"""The fourth meaning of "stable": how an attack runs, from the rows of its trace (`palpate.storage.traces`).

An image counts once: its independent starts are averaged first. Intervals draw patients with replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palpate.errors import InputError
from palpate.metrics.intervals import Estimate
from palpate.metrics.panel import Floats, Ints
from palpate.metrics.spreads import quotient
from palpate.metrics.stability import by_group
from palpate.storage.frames import Frame

CURVES = ("kl_smoothed", "kl_final", "kl_clean", "value", "penalty", "loss", "margin", "cos_step", "cos_final")
"""The columns that are drawn over the steps."""
NEEDED = (*CURVES, "plane_x", "plane_y", "l2")
NOT_TRACED = "No trace defines this."


@dataclass(frozen=True, eq=False)
class Band:
    """One quantity over the steps, (T + 1,); NaN at steps where no image defines it."""

    median: Floats
    """Median over images."""
    low: Floats
    """First quartile over images; NaN where fewer than two define it."""
    high: Floats
    """Third quartile over images; NaN where fewer than two define it."""
    images: Ints
    """Images that define it at this step."""


@dataclass(frozen=True)
class RunSummary:
    """How one attack runs: means over images, starts averaged first."""

    cos_step: Estimate
    """Mean cosine between successive steps: 1 is straight, 0 a right angle, below 0 back and forth."""
    falling: Estimate
    """Share of the steps at which kl_final falls: at 1 every step is nearer to the final predictions."""
    half_time: Estimate
    """Share of the steps until kl_final has first fallen to half of its start."""
    smoothed_end: Estimate
    """kl_smoothed at the last step over its peak: 1 is its worst value, at 0 the smoothed image agrees in the end."""
    cos_final_half: Estimate
    """Cosine between the change at half the steps, t = T // 2, and the last one."""
    plane_share: Estimate
    """Share of |d_T|^2 that is in the plane of the first and last step: (plane_x^2 + plane_y^2) / l2^2."""


@dataclass(frozen=True, eq=False)
class RunCurves:
    """The traces of one attack, over images."""

    steps: int
    """T."""
    images: int
    """Images traced."""
    starts: int
    """Independent starts of each."""
    bands: Mapping[str, Band]
    """By the names of `CURVES`."""
    summary: RunSummary


def along_the_run(frame: Frame, attack: str, seed: int = 0) -> RunCurves:
    """Curves over the steps and summary figures of one attack's traces.

    Args:
        frame: rows of traces as columns, named as in `storage.traces.TraceRow`; rows of other attacks are ignored.
        attack: name of the attack.
        seed: of the bootstrap.

    Raises:
        InputError: the attack has no rows, its traces differ in their number of steps or their budget, or two rows
            have the same image, start and step.
    """
    rows = _rows_of(frame, attack)
    steps, step = int(rows["steps"][0]), rows["step"].astype(np.int64)
    images, first, image = np.unique(rows["row"], return_index=True, return_inverse=True)
    starts, start = np.unique(rows["start"], return_inverse=True)
    cells = (image * starts.size + start) * (steps + 1) + step
    if np.unique(cells).size < cells.size:
        raise InputError(f"The attack '{attack}' has two traces for one image and start. Trace it again.")
    finite = {name: np.where(np.isfinite(rows[name]), rows[name], np.nan) for name in NEEDED}
    found = tables({**rows, **finite}, NEEDED)
    resampling, every = by_group(rows["group"][first], seed), np.ones(images.size, dtype=bool)
    figures = [resampling.mean(mean_known(figure(found)), every, NOT_TRACED) for figure in _FIGURES]
    bands = {name: band(mean_known(found[name], axis=1)) for name in CURVES}
    return RunCurves(steps, images.size, starts.size, bands, RunSummary(*figures))


def tables(frame: Frame, names: Sequence[str]) -> dict[str, Floats]:
    """Columns of one attack as (images, starts, T + 1), NaN where there is no row; images and starts ascending."""
    images, image = np.unique(frame["row"], return_inverse=True)
    starts, start = np.unique(frame["start"], return_inverse=True)
    out = {name: np.full((images.size, starts.size, int(frame["steps"].max()) + 1), np.nan) for name in names}
    for name, table in out.items():
        table[image, start, frame["step"]] = frame[name]
    return out


def mean_known(values: Floats, axis: int = -1) -> Floats:
    """Mean along an axis without NaN; NaN where all values are NaN."""
    known = ~np.isnan(values)
    count = known.sum(axis=axis)
    out = np.full(count.shape, np.nan)
    np.divide(np.where(known, values, 0.0).sum(axis=axis), count, out=out, where=count > 0)
    return out


def band(values: Floats) -> Band:
    """Median and quartiles over images (N, T + 1) at each step, without NaN; one image has no quartiles."""
    known = ~np.isnan(values)
    out = np.full((3, values.shape[1]), np.nan)
    for step in np.flatnonzero(known.any(axis=0)):
        there = values[known[:, step], step]
        out[0, step] = np.median(there)
        if there.size > 1:
            out[1:, step] = np.quantile(there, [0.25, 0.75])
    return Band(out[0], out[1], out[2], known.sum(axis=0).astype(np.int64))


def _rows_of(frame: Frame, attack: str) -> Frame:
    """The needed columns of one attack, with one budget and one number of steps."""
    mine = np.asarray(frame["attack"]) == attack
    if not mine.any():
        raise InputError(f"There is no trace of the attack '{attack}'.")
    rows = {name: np.asarray(frame[name])[mine] for name in ("row", "group", "start", "step", "steps", "eps", *NEEDED)}
    if np.unique(rows["steps"]).size > 1 or np.unique(rows["eps"]).size > 1:
        raise InputError(f"The traces of '{attack}' differ in their steps or their budget. Trace it again.")
    if rows["step"].min() < 0 or rows["step"].max() > rows["steps"][0]:
        raise InputError(f"The traces of '{attack}' hold steps outside 0 to {rows['steps'][0]}. Trace it again.")
    return rows


# Each takes tables (images, starts, T + 1) and gives (images, starts).


def _cos_step(tables: Mapping[str, Floats]) -> Floats:
    return mean_known(tables["cos_step"])


def _falling(tables: Mapping[str, Floats]) -> Floats:
    moves = np.diff(tables["kl_final"], axis=-1)
    return mean_known(np.where(np.isnan(moves), np.nan, np.less(moves, 0)))


def _half_time(tables: Mapping[str, Floats]) -> Floats:
    values = tables["kl_final"]
    begin, steps = values[..., :1], values.shape[-1] - 1
    below = np.less_equal(values, begin / 2) & np.greater(begin, 0)
    return np.where(below.any(axis=-1), below.argmax(axis=-1) / max(steps, 1), np.nan)


def _smoothed_end(tables: Mapping[str, Floats]) -> Floats:
    values = tables["kl_smoothed"]
    peak = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    return quotient(values[..., -1], peak)


def _cos_final_half(tables: Mapping[str, Floats]) -> Floats:
    values = tables["cos_final"]
    return values[..., (values.shape[-1] - 1) // 2]


def _plane_share(tables: Mapping[str, Floats]) -> Floats:
    x, y, length = (tables[name][..., -1] for name in ("plane_x", "plane_y", "l2"))
    return quotient(x**2 + y**2, length**2)


_FIGURES: tuple[Callable[[Mapping[str, Floats]], Floats], ...] = (
    _cos_step,
    _falling,
    _half_time,
    _smoothed_end,
    _cos_final_half,
    _plane_share,
)
