"""What the study's cache holds, read back: one `Series` per attack and way of counting, its seeds side by side."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.stability_measures import change_spread
from palpate.errors import StorageError
from palpate.metrics.intervals import Resampling
from palpate.metrics.panel import Bools, Floats
from palpate.metrics.stability import by_group

STEPS, PASSES, BOTH = "steps", "passes", "both"
"""Equal steps, equal passes; `both` where they are the same rows."""
TRANSFER = "transfer"
Columns = Mapping[str, np.ndarray]
_FORMER = {"world": "benchmark", "worlds": "benchmarks"}
"""Keys of caches that were written before benchmarks were called so, and their names now."""


@dataclass(frozen=True, eq=False)
class FinishedCell:
    """One attack on all images of one benchmark with one seed."""

    about: dict[str, Any]
    """What it was; the cells that are one computation have the same `rows`."""
    columns: Columns
    changes: list[Floats]
    """Final changes of the first images in values."""

    @property
    def setting(self) -> tuple[str, float]:
        """Benchmark and eps."""
        return self.about["benchmark"], float(self.about["eps"])


def finished_cells(cache: Path) -> list[FinishedCell]:
    """All finished cells of the study.

    Raises:
        StorageError: the rows of a cell are not there.
    """
    return [_cell(path) for path in sorted((cache / "rows").glob("*/*.json")) if not path.name.startswith("trace_")]


def document(path: Path) -> Any:
    """A JSON of the cache, with today's names of keys."""
    return json.loads(
        path.read_text(), object_hook=lambda entries: {_FORMER.get(key, key): value for key, value in entries.items()}
    )


def _cell(path: Path) -> FinishedCell:
    about = document(path)
    rows = path.with_name(about["rows"] + ".parquet")
    if not rows.is_file():
        raise StorageError(f"'{rows}' is missing, where '{path.name}' says its rows are. Run the study again.")
    table = pq.read_table(rows)
    columns = {name: table.column(name).to_numpy(zero_copy_only=False) for name in table.column_names}
    changes = []
    if (kept := rows.with_suffix(".npz")).is_file():
        with np.load(kept, allow_pickle=False) as arrays:
            # One array where shapes agree, else one for each image.
            one = "change" in arrays
            changes = list(arrays["change"]) if one else [arrays[f"change_{k}"] for k in range(len(arrays.files))]
    return FinishedCell(about, columns, [np.asarray(change, np.float64) for change in changes])


@lru_cache(maxsize=64)
def resampling_of(groups: tuple[str, ...]) -> Resampling:
    """One set of draws for all attacks on the same images, so that they can be compared."""
    return by_group(groups)


@dataclass(frozen=True, eq=False)
class Series:
    """One attack, counted in one way, on the images of one benchmark; seeds one after another in every array.

    An image is in it once per seed, always in the same group: resamples draw groups, so the seeds of an image,
    and the images of a patient, are kept together.
    """

    attack: str
    mode: str
    seeds: tuple[FinishedCell, ...]

    def __post_init__(self) -> None:
        first = self.seeds[0].columns["row"]
        if any(not np.array_equal(cell.columns["row"], first) for cell in self.seeds):
            raise StorageError(f"The seeds of '{self.attack}' in '{self.about['benchmark']}' hold different images.")

    @property
    def about(self) -> dict[str, Any]:
        """The description of the first seed."""
        return self.seeds[0].about

    @property
    def draws(self) -> bool:
        """Whether the attack draws random numbers."""
        return not self.about["deterministic"]

    @property
    def images(self) -> int:
        """N, without seeds."""
        return int(self.seeds[0].columns["row"].size)

    def column(self, name: str) -> Floats:
        """(seeds * images,) one figure per seed and image; NaN where it was not measured."""
        parts = [cell.columns.get(name, np.full(self.images, np.nan)) for cell in self.seeds]
        return np.concatenate([np.asarray(part, np.float64) for part in parts])

    @cached_property
    def eligible(self) -> Bools:
        """(seeds * images,) right before the attack."""
        return self.column("eligible") > 0

    @property
    def resampling(self) -> Resampling:
        """Of patients where they are known, else of images, for arrays (seeds * images,)."""
        return resampling_of(self._groups * len(self.seeds))

    @property
    def over_images(self) -> Resampling:
        """The same for arrays (images,)."""
        return resampling_of(self._groups)

    @cached_property
    def _groups(self) -> tuple[str, ...]:
        return tuple(self.seeds[0].columns["group"].astype(str))

    def per_image(self, values: np.ndarray) -> Floats:
        """(seeds * images,) -> (images,): the mean over seeds."""
        return np.asarray(np.asarray(values, np.float64).reshape(len(self.seeds), self.images).mean(axis=0))

    def margin(self, after: str) -> Floats:
        """Margins `before` post-processing, after a step of it, or on the second network (`transfer`)."""
        return self.column({"before": "margin", TRANSFER: "transfer_margin"}.get(after, f"handled_margin_{after}"))

    def score(self, after: str) -> Floats:
        """Scores under attack, as `margin`."""
        return self.column({"before": "score", TRANSFER: "transfer_score"}.get(after, f"handled_score_{after}"))

    def clean_margin(self, after: str) -> Floats:
        """Margins of the image without an attack, as `margin`."""
        known = {"before": "clean_margin", TRANSFER: "transfer_clean_margin"}
        return self.column(known.get(after, f"clean_handled_margin_{after}"))

    def clean_score(self, after: str) -> Floats:
        """Scores of the image without an attack, as `margin`."""
        known = {"before": "clean_score", TRANSFER: "transfer_clean_score"}
        return self.column(known.get(after, f"clean_handled_score_{after}"))

    def among(self, after: str) -> Bools:
        """Images that count: eligible and measured, and for transfer right on the second network too."""
        counts = self.eligible & ~np.isnan(self.margin(after))
        return counts & (self.clean_margin(TRANSFER) > 0) if after == TRANSFER else counts

    def beaten(self, after: str) -> Bools:
        """The goal is reached: the attack's own outcome before anything happens to the file, else a margin <= 0."""
        return self.column("success") > 0 if after == "before" else np.less_equal(self.margin(after), 0)

    @property
    def change_spread(self) -> Floats:
        """(images,) spread of the final change over seeds in budgets; NaN where it was not kept."""
        out = np.full(self.images, np.nan)
        if len(self.seeds) > 1:
            for place, changes in enumerate(zip(*(cell.changes for cell in self.seeds), strict=False)):
                out[place] = change_spread(np.stack(changes)[:, None], float(self.about["eps"]))[0]
        return out


@dataclass(frozen=True, eq=False)
class Setting:
    """One benchmark at one budget."""

    benchmark: str
    eps: float
    handlings: tuple[str, ...]
    series: Mapping[tuple[str, str], Series]
    """By attack and mode."""

    @property
    def attacks(self) -> list[str]:
        """Names, each once, in the study's order."""
        return list(dict.fromkeys(attack for attack, _ in self.series))

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Everything success is read after."""
        some = next(iter(self.series.values()))
        return ("before", *self.handlings, *((TRANSFER,) if "transfer_margin" in some.seeds[0].columns else ()))


ORDER = (
    "fgsm", "bim", "bim, random start", "pgd", "mi", "ti", "di", "apgd-ce", "apgd-margin", "segpgd", "cospgd",
    "dice-pgd",
)  # fmt: skip
"""Peers in every table; then the SMIA family, and last our own."""


def rank(attack: str) -> tuple[int, str]:
    """The place of an attack in every table."""
    if attack in ORDER:
        return ORDER.index(attack), attack
    return len(ORDER) + (1 if attack.startswith("smia") else 2 if attack.startswith("steadfast") else 0), attack


def is_peer(attack: str) -> bool:
    """Whether it is a published attack outside the SMIA family."""
    return not attack.startswith(("smia", "steadfast"))


def settings(found: Iterable[FinishedCell]) -> list[Setting]:
    """The benchmarks, each budget separately, with their attacks at equal steps and at equal passes.

    Raises:
        StorageError: two attacks of a benchmark hold different images.
    """
    held: dict[tuple[str, float], dict[tuple[str, str], list[FinishedCell]]] = defaultdict(lambda: defaultdict(list))
    for cell in found:
        held[cell.setting][cell.about["attack"], cell.about["mode"]].append(cell)
    return [_setting(benchmark, eps, own) for (benchmark, eps), own in held.items()]


def _setting(benchmark: str, eps: float, held: Mapping[tuple[str, str], list[FinishedCell]]) -> Setting:
    series = {}
    for attack, mode in sorted(held, key=lambda key: (*rank(key[0]), key[1] != STEPS)):
        seeds = sorted(held[attack, mode], key=lambda cell: int(cell.about["seed"]))
        series[attack, mode] = Series(attack, mode, tuple(seeds))
    rows = [one.seeds[0].columns["row"] for one in series.values()]
    if any(not np.array_equal(own, rows[0]) for own in rows):
        raise StorageError(f"Attacks in '{benchmark}' at eps {eps:g} hold different images. Run the study again.")
    return Setting(benchmark, eps, tuple(next(iter(series.values())).about["handlings"]), series)
