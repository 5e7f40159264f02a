"""A run as the comparison reads it: the images, attacks, budgets and steps that all runs have, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from palpate.storage.frames import Frame
from palpate.storage.lists import Lists
from palpate.storage.runs import RunFolder


@dataclass(frozen=True)
class Shared:
    """What all runs have, in the names and the order of one run.

    Attributes:
        rows: positions of the compared images in this run's table, in the order of the comparison.
        attacks: name of an attack in this run -> its name in the comparison.
        budgets: name of an attack in this run -> its budgets in values.
        handlings: places of the common post-processing steps in this run's lists.
        artefacts: identities of the artefacts in this run -> their identity in the comparison.
        certificates: identities of the certificates that all runs have.
    """

    rows: tuple[int, ...]
    attacks: Mapping[str, str]
    budgets: Mapping[str, tuple[float, ...]]
    handlings: tuple[int, ...]
    artefacts: Mapping[str, str]
    certificates: tuple[str, ...] = ()

    @property
    def eps(self) -> tuple[float, ...]:
        """All budgets, ascending."""
        return tuple(sorted({eps for budgets in self.budgets.values() for eps in budgets}))


@dataclass(frozen=True)
class SharedRun(RunFolder):
    """A run folder that shows only what is shared; nothing is written into it."""

    shared: Shared

    def describe(self) -> dict[str, Any]:
        """`run.json` with the shared attacks, budgets, steps and artefacts only."""
        stored, shared = super().describe(), self.shared
        attacks = [
            {**one, "name": shared.attacks[one["name"]], "eps": list(shared.budgets[one["name"]])}
            for one in stored["attacks"]
            if one["name"] in shared.attacks
        ]
        steps = stored.get("handlings", [])
        left_out = dict.fromkeys(("digest", "gallery", "exports", "files", "stability", "quality", "gates"))
        kept = {name: value for name, value in stored.items() if name not in left_out}
        return {
            **kept,
            "gates": [],
            "data": {**stored["data"], "images": len(shared.rows)},
            "threat": {**stored["threat"], "eps": list(shared.eps), "amounts": []},
            "attacks": attacks,
            "handlings": [steps[place] for place in shared.handlings],
            "artefacts": self._artefacts(stored.get("artefacts")),
            "certificates": self._certificates(stored.get("certificates")),
        }

    def _artefacts(self, stored: Any) -> dict[str, Any] | None:
        if not stored or not self.shared.artefacts:
            return None
        items = [
            {**one, "item": self.shared.artefacts[one["item"]]}
            for one in stored["items"]
            if one["item"] in self.shared.artefacts
        ]
        return {**stored, "items": items, "pictures": [], "reference": None}

    def _certificates(self, stored: Any) -> dict[str, Any] | None:
        if not stored or not self.shared.certificates:
            return None
        return {**stored, "items": [one for one in stored["items"] if one["item"] in self.shared.certificates]}

    def complete(self) -> bool:
        """Whether every shard is there; see `RunFolder`."""
        return RunFolder(self.path).complete()

    def frame(self, *_: Any, **__: Any) -> Frame:
        """The shared records, their images numbered in the order of the comparison."""
        frame, shared = RunFolder(self.path).frame(), self.shared
        kept = np.zeros(len(frame["row"]), dtype=bool)
        for name, budgets in shared.budgets.items():
            kept |= (frame["attack"] == name) & np.isin(frame["eps"], budgets)
        frame = _renumbered(frame, kept, shared.rows)
        frame["attack"] = _renamed(frame["attack"], shared.attacks)
        for name in ("clean_handled", "clean_handled_scores", "handled", "handled_scores"):
            frame[name] = _places(frame[name], shared.handlings)
        return frame

    def artefact_frame(self) -> Frame:
        """The shared rows of artefacts."""
        frame = RunFolder(self.path).artefact_frame()
        kept = np.isin(frame["item"].astype(str), list(self.shared.artefacts))
        frame = _renumbered(frame, kept, self.shared.rows)
        frame["item"] = _renamed(frame["item"], self.shared.artefacts)
        return frame

    def certificate_frame(self) -> Frame:
        """The shared rows of certificates."""
        frame = RunFolder(self.path).certificate_frame()
        kept = np.isin(frame["item"].astype(str), list(self.shared.certificates))
        return _renumbered(frame, kept, self.shared.rows)


def _renumbered(frame: Frame, kept: Any, rows: Sequence[int]) -> Frame:
    """The kept records of the images at `rows`; their rows are the places in `rows`."""
    place = {row: number for number, row in enumerate(rows)}
    kept = kept & np.isin(frame["row"], list(place))
    out = {name: values[kept] for name, values in frame.items()}
    out["row"] = np.array([place[row] for row in out["row"].tolist()], dtype=np.int64)
    return out


def _renamed(values: Any, names: Mapping[str, str]) -> Any:
    out = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        out[place] = names[str(value)]
    return out


def _places(lists: Any, places: Sequence[int]) -> Any:
    """The values at some places of each list; lists that are empty stay empty."""
    width = max(lists.widths, default=0)
    kept = lists.table(width)[:, list(places)] if width else np.zeros((len(lists), 0))
    sizes = np.where(lists.sizes > 0, kept.shape[1], 0)
    return Lists(kept.ravel(), np.arange(len(lists), dtype=np.int64) * kept.shape[1], sizes)
