"""How attacks run, from their traces: curves over the steps, summaries with intervals, and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from palpate.errors import InputError
from palpate.metrics.intervals import Estimate
from palpate.metrics.panel import Bools, Floats, Ints, Outcome
from palpate.metrics.stability import across_images, across_restarts, by_group
from palpate.metrics.stability_run import Band, RunCurves, along_the_run, mean_known, tables
from palpate.report.compute.reading import RunReading, figure_of
from palpate.report.compute.stability.maps import Maps
from palpate.report.compute.stability.traces import Traces, fix, read_traces
from palpate.report.compute.stability.words import NOT_KNOWN, SWITCHED_OFF, sentence, sentences
from palpate.report.model.description import AttackDescription, TracedItem, Tracing
from palpate.report.model.schema_stability import AttackStability, Course, Curve, PlainComparison, Stability, Summary
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder

SAME_PATH = 1e-3
"""Relative difference of margin, loss and size up to which two paths count as the same: rounding grows along a run."""
_PATH = ("margin", "loss", "l2")
_SMOOTHING = {"smooth": "step", "size": 3, "sigma": 1.0}
"""How the traces of attacks without the term smooth; those of stabilised attacks smooth as the attack does."""
_DRAWN = ("kl_clean", "kl_final", "kl_smoothed", "loss", "penalty", "value")


def measure_stability(run: RunFolder, reading: RunReading) -> Stability:
    """All figures of the traces of a run; without traces, the reason.

    A trace that cannot be read is named with its fix; the others are still measured.
    """
    traced = reading.description.stability
    if traced is None:
        off = "stability" in reading.description.model_fields_set
        return Stability(
            state="switched off" if off else "not known", eps=None, images=0, starts=0, smoothed=False,
            sentences=[SWITCHED_OFF if off else NOT_KNOWN], attacks=[],
        )  # fmt: skip
    traces, norm = read_traces(run, traced.items), reading.description.threat.norm
    measured = [_attack(reading, traced, traces, attack) for attack in reading.description.attacks]
    measured = [one.model_copy(update={"beside": _beside(one, measured, reading, traces)}) for one in measured]
    attacks = [one.model_copy(update={"sentence": sentence(one, norm)}) for one in measured]
    return Stability(
        state="traced", eps=traced.eps, images=traced.images, starts=traced.starts, smoothed=traced.smoothed,
        sentences=sentences(attacks), attacks=attacks,
    )  # fmt: skip


def _attack(reading: RunReading, traced: Tracing, traces: Traces, attack: AttackDescription) -> AttackStability:
    item = next((one for one in traced.items if one.attack == attack.name), None)
    outcome = reading.outcome(attack)
    nothing = AttackStability(
        attack=attack.name, goal=attack.goal, state="unfinished", draws=None, weight=None, steps=None, images=0,
        starts=0, sentence="", beside=None, curves=[], courses=[], along_run=[], across_restarts=[],
        across_images=[] if outcome is None else _across_images(reading, outcome, traced.eps),
    )  # fmt: skip
    if attack.name in traces.damaged:
        return nothing.model_copy(update={"state": "damaged", "sentence": traces.damaged[attack.name]})
    if item is None or not traces.frames[attack.name]["row"].size:
        why = "no image" if reading.description.status == "finished" else "unfinished"
        return nothing.model_copy(update={"state": "no gradient" if attack.name in traced.untraced else why})
    try:
        return nothing.model_copy(update=_traced(item, traces, traced.eps))
    except InputError:
        # Its rows do not belong together.
        return nothing.model_copy(update={"state": "damaged", "sentence": fix(item.identity)})


def _traced(item: TracedItem, traces: Traces, eps: float) -> dict[str, object]:
    mine = traces.frames[item.attack]
    curves = along_the_run(mine, str(mine["attack"][0]))
    return {
        "state": "traced",
        "stage": item.stage,
        "draws": item.draws,
        "weight": item.weight,
        "steps": curves.steps,
        "images": curves.images,
        "starts": curves.starts,
        "curves": [_curve(name, curves.bands[name], curves.images) for name in _DRAWN],
        "courses": _courses(mine),
        "along_run": _along(curves),
        "across_restarts": _across_restarts(traces.maps[item.attack], mine, eps, draws=item.draws),
    }


def _curve(name: str, band: Band, images: int) -> Curve:
    ends = (band.low, band.high) if images > 1 else (np.full_like(band.low, np.nan),) * 2
    return Curve.model_validate(
        {"name": name, "median": band.median.tolist(), "low": ends[0].tolist(), "high": ends[1].tolist()}
    )


def _courses(mine: Frame) -> list[Course]:
    last = mine["step"] == mine["steps"]
    found = zip(*(mine[name][last] for name in ("row", "start", "plane_x", "plane_y", "l2")), strict=True)
    return [
        Course(row=int(row), start=int(start), share=float((x**2 + y**2) / length**2) if length > 0 else None)
        for row, start, x, y, length in sorted(found)
    ]


def _along(curves: RunCurves) -> list[Summary]:
    return [_summary(name, estimate) for name, estimate in vars(curves.summary).items()]


def _summary(name: str, estimate: Estimate) -> Summary:
    return Summary(name=name, figure=figure_of(estimate))


def _beside(
    one: AttackStability, measured: Sequence[AttackStability], reading: RunReading, traces: Traces
) -> PlainComparison | None:
    """A stabilised attack compared with the plain one that is most similar to it, image by image."""
    plain = [two for two in measured if two.state == "traced" and not two.weight and two.goal == one.goal]
    if one.state != "traced" or not one.weight or not plain:
        return None
    catalog = {attack.name: attack.catalog for attack in reading.description.attacks}

    def unlike(two: AttackStability) -> tuple[bool, bool, bool]:
        return two.steps != one.steps, two.draws != one.draws, catalog[two.attack] != "bim"

    other = min(plain, key=unlike)
    first, second = traces.frames[one.attack], traces.frames[other.attack]
    common = np.intersect1d(first["row"], second["row"])
    if not common.size:
        return None
    ours, theirs = (tables(_of_rows(rows, common), (*_PATH, "kl_smoothed")) for rows in (first, second))
    means = [mean_known(mean_known(table["kl_smoothed"])) for table in (ours, theirs)]
    known_both = np.isfinite(means[0]) & np.isfinite(means[1])
    set_to = next(attack.parameters for attack in reading.description.attacks if attack.name == one.attack)
    comparable = all(set_to.get(name, usual) == usual for name, usual in _SMOOTHING.items())
    return PlainComparison(
        attack=other.attack,
        images=int(common.size),
        same_path=int(_same_path(ours, theirs).sum()),
        comparable=comparable,
        nearer=int((means[0] < means[1]).sum()) if comparable and known_both.any() else None,
    )


def _of_rows(frame: Frame, rows: Ints) -> Frame:
    keep = np.isin(frame["row"], rows)
    return {name: column[keep] for name, column in frame.items()}


def _same_path(ours: Mapping[str, Floats], theirs: Mapping[str, Floats]) -> Bools:
    """(images,) Whether both attacks had the same margin, loss and size of the change after every step."""
    same = np.ones(len(ours["l2"]), dtype=bool)
    for name in _PATH:
        if ours[name].shape != theirs[name].shape:
            return np.zeros_like(same)
        close = np.isclose(ours[name], theirs[name], rtol=SAME_PATH, atol=SAME_PATH, equal_nan=True)
        same &= close.all(axis=(1, 2))
    return same


def _across_restarts(maps: Maps, mine: Frame, eps: float, *, draws: bool) -> list[Summary]:
    margins = tables(mine, ["margin"])["margin"]
    beaten = np.where(np.isnan(margins), np.inf, margins).min(axis=2) <= 0
    # Whether a start without any margin wins is not known.
    every_start: Bools = np.asarray(np.all(np.any(np.isfinite(margins), axis=2), axis=1), dtype=bool)
    rows, first = np.unique(mine["row"], return_index=True)
    spread = {row: float(values.mean()) / eps for row, values in zip(maps.rows, maps.spread_starts, strict=True)}
    found = across_restarts(
        np.full(beaten.T.shape, np.nan), beaten.T, every_start, by_group(mine["group"][first]),
        np.array([spread.get(int(row), np.nan) for row in rows]), draws=draws,
    )  # fmt: skip
    return [_summary("differing", found.differing), _summary("change", found.change)]


def _across_images(reading: RunReading, outcome: Outcome, eps: float) -> list[Summary]:
    at = np.flatnonzero(outcome.eps == eps)
    if not at.size:
        return []
    budget, images = int(at[0]), reading.panel.images
    eligible: Bools = outcome.eligible & outcome.recorded[budget]
    found = across_images(images.score, outcome.scores[budget], outcome.success[budget], eligible, reading.resampling)
    return [_summary(name, estimate) for name, estimate in vars(found).items()]
