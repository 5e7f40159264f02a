"""The list of all cells of a stage, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.smia_study import ablation
from benchmarks.smia_study.attacks import (
    MODES,
    PASSES,
    SCAN,
    SEEDS,
    STEPS,
    TRACED,
    TRIAL_PASSES,
    TRIAL_STEPS,
    Peer,
    fingerprint,
    study,
)
from benchmarks.smia_study.cell import Cell
from benchmarks.smia_study.suite import Benchmark


def cells(stage: str, benchmarks: Sequence[Benchmark], peers: Sequence[Peer] | None = None) -> list[Cell]:
    """All cells of a stage, the most valuable first; those that are one computation point to the first of them.

    Args:
        stage: one of `STAGES`.
        benchmarks: where.
        peers: the attacks; by default those of the stage.
    """
    found: list[Cell] = []
    for place, benchmark in enumerate(benchmarks):
        seen: dict[str, str] = {}
        for cell in _of_benchmark(stage, benchmark, place, _peers(stage) if peers is None else tuple(peers)):
            name = seen.setdefault(fingerprint(cell.attack, cell.seed), cell.name)
            found.append(replace(cell, source=name))
    return sorted(found, key=lambda cell: cell.order)


def _peers(stage: str) -> tuple[Peer, ...]:
    if stage == "scan":
        return SCAN
    if stage == "ablation":
        return ablation.peers()
    return tuple(peer for peer in study() if stage == "study" or peer.name in TRACED)


def _of_benchmark(stage: str, benchmark: Benchmark, place: int, peers: tuple[Peer, ...]) -> Iterator[Cell]:
    kind = KINDS.get(benchmark.folder.name, "segmentation")
    chosen = [peer for peer in peers if not peer.kinds or kind in peer.kinds]
    if stage == "ablation" and benchmark.name not in ablation.BENCHMARKS:
        return
    for rank, peer in enumerate(chosen):
        for eps in _radii(stage, benchmark, peer):
            for mode in peer.modes if stage in ("study", "ablation") else MODES[:1]:
                for seed in _seeds(stage, benchmark, peer, eps):
                    yield _cell(stage, benchmark, peer, eps, mode, seed, (place, rank))


def _seeds(stage: str, benchmark: Benchmark, peer: Peer, eps: float) -> tuple[int, ...]:
    """Several for attacks that draw, at the main radius, as many as the benchmark affords; elsewhere one."""
    if stage != "study":
        return SEEDS[:1]
    afforded = benchmark.seeds[peer.tier]
    return SEEDS[: afforded if peer.draws and eps == benchmark.eps[-1] else min(afforded, 1)]


def _cell(
    stage: str, benchmark: Benchmark, peer: Peer, eps: float, mode: str, seed: int, turn: tuple[int, int]
) -> Cell:
    place, rank = turn
    steps, passes = (STEPS, PASSES) if stage in ("study", "trace") else (TRIAL_STEPS, TRIAL_PASSES)
    # The study: first the attacks that matter most, on the first benchmarks, at the largest radius, with the first
    # seed; then their other seeds, the other attacks, and the other radii.
    turns = benchmark.turn + (seed > 0) + 2 * peer.tier + 3 * (eps != benchmark.eps[-1])
    own, paid = (peer.steps_of(one, steps, passes) for one in MODES)
    # The ablation: what the rule reads first, which is what is run at equal passes.
    order = (
        (turns, place, rank, seed) if stage == "study" else (mode == "steps" and own != paid, rank // 8, place, rank)
    )
    taken, asked = peer.steps_of(mode, steps, passes), passes if mode == "passes" else None
    return Cell(stage, benchmark, peer, eps, mode, seed, taken, asked, order=order)


def _radii(stage: str, benchmark: Benchmark, peer: Peer) -> tuple[float, ...]:
    if stage == "scan":
        return benchmark.scan
    if stage == "study" and peer.tier == 0:
        return (*reversed(benchmark.eps), *benchmark.beyond)
    return benchmark.eps[-1:]


KINDS = {"fundus_dr": "classification", "polyp_boxes": "detection"}
"""Kinds of task of the examples that are not masks."""
