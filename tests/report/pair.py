"""Pairs of made-up runs over the same images: a model, and one that falls later and is right on other images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from palpate.storage.records import Record
from palpate.storage.runs import RunFolder
from tests.report import world
from tests.report.world import Patients, make_run

FEW = ("fgsm", "pgd", "hide")


@contextmanager
def other_model(factor: float = 2.0, slips: float = 0.05) -> Iterator[None]:
    """Inside, runs are of a model that falls at `factor` times the budget and errs on some other images."""
    plain = Patients.make

    def make(images: int, per_group: int, hostile: bool) -> Patients:
        found = plain(images, per_group, hostile)
        wrong = np.random.default_rng(5).random(images) < slips
        return replace(found, clean=np.where(wrong, (found.label + 1) % 5, found.clean), fall=found.fall * factor)

    world.Patients.make = make
    try:
        yield
    finally:
        del world.Patients.make
        world.Patients.make = plain


def relabelled(run: RunFolder, **changes: Any) -> RunFolder:
    """Other weights, and other fields of `run.json`; a dictionary is merged into its field."""
    stored = run.describe()
    stored["model"] = {**stored["model"], "sha256": "ab" * 32}
    for name, value in changes.items():
        stored[name] = {**stored[name], **value} if isinstance(value, dict) else value
    run.save_description(stored)
    return run


def make_pair(
    folder: Path, *, images: int = 60, per_group: int = 2, factor: float = 2.0, **how: Any
) -> tuple[Path, Path]:
    """The folders of both runs."""
    how = {"attacks": FEW, "pictures": 0, "images": images, "per_group": per_group, **how}
    make_run(folder / "old", **how)
    with other_model(factor):
        relabelled(make_run(folder / "new", **how))
    return folder / "old", folder / "new"


def rewritten(run: RunFolder, shard: str, change: Any) -> None:
    """The records of a shard, each changed by a function."""
    rows = run.read_shard(shard).to_pylist()
    run.write_shard(
        shard, [change(Record(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})) for row in rows]
    )
