"""The traces of a run as the report reads them: a damaged one is named, and the others are still read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from palpate.errors import StorageError
from palpate.report.compute.stability.maps import Maps, read_maps
from palpate.report.model.description import TracedItem
from palpate.storage.frames import Frame
from palpate.storage.runs import RunFolder


@dataclass(frozen=True, eq=False)
class Traces:
    """The contents of `stability/` in a run folder, by the names of the attacks."""

    frames: Mapping[str, Frame]
    """The rows of images that the attack could win."""
    maps: Mapping[str, Maps]
    damaged: Mapping[str, str]
    """Attacks whose trace cannot be read, with the sentence that names the file and the fix."""


def read_traces(run: RunFolder, items: Sequence[TracedItem]) -> Traces:
    """Read every trace that can be read.

    Args:
        run: the run folder.
        items: the traces that `run.json` names.
    """
    frames, maps, damaged = {}, {}, {}
    for item in items:
        try:
            frames[item.attack], maps[item.attack] = (
                known(run.trace_frame(item.identity)),
                read_maps(run, item.identity),
            )
        except StorageError:
            frames.pop(item.attack, None)
            damaged[item.attack] = fix(item.identity)
    return Traces(frames, maps, damaged)


def fix(identity: str) -> str:
    """What to do about a trace that cannot be read. Its path is relative to the run folder, since reports travel."""
    return (
        f"Its trace is missing or damaged. Delete stability/{identity}.parquet and stability/{identity}.npz in the run "
        "folder and run `palpate audit` again: it repeats only this trace, and all other figures stay."
    )


def known(frame: Frame) -> Frame:
    """The rows of images that the attack could win; for the others every figure is NaN."""
    pairs = list(zip(frame["attack"], frame["row"], strict=True))
    won = {pair for pair, margin in zip(pairs, frame["margin"], strict=True) if np.isfinite(margin)}
    keep = np.array([pair in won for pair in pairs], dtype=bool)
    return {name: column[keep] for name, column in frame.items()}
