"""Runs with traces: perturbations that a made-up attack really walks, with the fields of a trace computed from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palpate.report.model.schema_stability import AttackStability, Stability
from palpate.storage.runs import RunFolder
from palpate.storage.traces import TraceRow
from tests.report.world import FEW, make_run

NOTHING = float("nan")
SIZE = 20
"""Side of the made-up images in pixels."""


@dataclass(frozen=True)
class Walk:
    """How a made-up attack moves.

    Attributes:
        noise: how much of each step's direction is drawn anew; 0 goes straight, far above 1 wanders.
        weight: alpha of a stabilised attack, or None.
        draws: whether it draws random numbers: a random start, and its own directions in each start.
        smoothed: scale of its disagreement with the smoothed image.
        seed: attacks of the same seed that draw nothing take the same path.
    """

    steps: int = 10
    noise: float = 0.4
    weight: float | None = None
    draws: bool = False
    smoothed: float = 0.02
    seed: int = 1


WALKS = {
    "fgsm": Walk(steps=1),
    "pgd": Walk(noise=0.8, draws=True),
    "smia": Walk(weight=0.5),
    "hide": Walk(noise=6.0, draws=True),
    "apgd-margin": Walk(steps=20, noise=0.2),
}


def walked(walk: Walk, row: int, start: int, eps: float) -> np.ndarray:
    """(T+1, SIZE, SIZE, 3) the changes, each inside the ball."""
    shape = (SIZE, SIZE, 3)
    heading = np.random.default_rng([row, 5]).normal(size=shape)
    rng = np.random.default_rng([row, walk.seed, start + 1 if walk.draws else 0])
    changes = [rng.uniform(-eps, eps, shape) if walk.draws else np.zeros(shape)]
    size = eps if walk.steps == 1 else 2.5 * eps / walk.steps
    for _ in range(walk.steps):
        step = size * np.sign(heading + walk.noise * rng.normal(size=shape))
        changes.append(np.clip(changes[-1] + step, -eps, eps))
    return np.stack(changes)


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / lengths if lengths else NOTHING


def _unit(vector: np.ndarray) -> np.ndarray:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else np.zeros_like(vector)


def trace_rows(attack: dict[str, Any], walk: Walk, row: int, group: str, start: int, eps: float) -> list[TraceRow]:
    """One start on one image."""
    changes = walked(walk, row, start, eps).reshape(walk.steps + 1, -1)
    steps = np.diff(changes, axis=0)
    moving = [one for one in steps if np.abs(one).max() > 0]
    first = _unit(moving[0])
    second = _unit(moving[-1] - (moving[-1] @ first) * first)
    scale, rows = eps * np.sqrt(changes.shape[1]), []
    for step, change in enumerate(changes):
        pull = float(change @ np.sign(np.random.default_rng([row, 5]).normal(size=change.size))) / scale**2
        left, last = float(np.linalg.norm(changes[-1] - change)) / scale, step == walk.steps
        loss = 0.3 + (3.0 + row % 3) * pull
        smoothed = 0.0 * walk.smoothed if not step else walk.smoothed * (1 + row % 2) * (1 - 0.5 * step / walk.steps)
        penalty = NOTHING if walk.weight is None or last else walk.weight * (0.1 + 2 * pull)
        rows.append(
            TraceRow(
                image=f"eye_{row:03d}.png", row=row, group=group, attack=attack["name"], item=attack["item"],
                goal=attack["goal"], eps=eps, start=start, step=step, steps=walk.steps, margin=1.0 - 2.2 * pull,
                value=NOTHING if last else loss - (0.0 if walk.weight is None else penalty), loss=loss,
                penalty=penalty, kl_smoothed=smoothed, kl_final=2.0 * left**2, kl_clean=2.5 * pull**2,
                cos_step=_cosine(steps[step - 1], steps[step - 2]) if step > 1 else NOTHING,
                cos_final=_cosine(change, changes[-1]), linf=float(np.abs(change).max()),
                l2=float(np.linalg.norm(change)), plane_x=float(change @ first), plane_y=float(change @ second),
            )
        )  # fmt: skip
    return rows


def trace_maps(walk: Walk, rows: Sequence[int], starts: int, eps: float) -> dict[str, np.ndarray]:
    """The maps that belong to the rows."""
    last = np.stack([[walked(walk, row, start, eps)[-1] for row in rows] for start in range(starts)])
    spread = last.std(axis=0, ddof=1).mean(axis=-1) if starts > 1 else np.full(last.shape[1:-1], NOTHING)
    maps = {
        "rows": np.array(rows, dtype=np.int64),
        "sizes": np.full((len(rows), 2), SIZE, dtype=np.int64),
        "draws": np.array(walk.draws),
        "shown": np.stack([np.random.default_rng(row).integers(0, 256, (SIZE, SIZE, 3)) for row in rows]).astype("u1"),
        "spread_starts": spread.astype(np.float32),
        "change": last[0].mean(axis=-1).astype(np.float32),
    }
    if len(rows) > 1:
        maps["spread_images"] = last.reshape(-1, *last.shape[2:]).std(axis=0, ddof=1).mean(axis=-1).astype(np.float32)
    return maps


def add_traces(
    run: RunFolder,
    walks: dict[str, Walk],
    *,
    rows: Sequence[int] = (1, 2, 3, 5),
    starts: int = 3,
    smoothed: bool = True,
    untraced: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    per_group: int = 1,
) -> RunFolder:
    """Write traces into a run folder, and say so in its description; `leave_out` are still to come."""
    stored = run.describe()
    eps = stored["threat"]["eps"][(len(stored["threat"]["eps"]) - 1) // 2]
    items = []
    for attack in stored["attacks"]:
        if attack["name"] not in walks:
            continue
        walk = walks[attack["name"]]
        if attack["name"] in leave_out:
            continue
        identity, count = f"trace{len(items)}", starts if walk.draws else 1
        items.append({"attack": attack["name"], "item": attack["item"], "identity": identity, "draws": walk.draws,
                      "weight": walk.weight})  # fmt: skip
        made_up = [
            one
            for row in rows
            for start in range(count)
            for one in trace_rows(attack, walk, row, f"p{row // per_group}", start, eps)
        ]
        run.write_trace(identity, made_up, trace_maps(walk, rows, count, eps))
    run.save_description({
        **stored,
        "stability": {"images": len(rows), "starts": starts, "smoothed": smoothed, "eps": eps, "items": items,
                      "untraced": list(untraced)},
    })  # fmt: skip
    return run


def make_traced(
    path: Path, *, attacks: Sequence[str] = (*FEW, "smia", "noise"), task: dict[str, Any] | None = None, **how: Any
) -> RunFolder:
    """A grader's run with traces of its gradient attacks; `task` replaces that of the run."""
    run = make_run(path, attacks=attacks, pictures=0, **({"task": task} if task else {}))
    return add_traces(run, WALKS, **{"untraced": [name for name in attacks if name == "noise"], **how})


def of(stability: Stability, attack: str) -> AttackStability:
    """The figures of one attack."""
    return next(one for one in stability.attacks if one.attack == attack)
