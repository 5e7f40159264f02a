"""What the run folder of a pilot holds: seconds of each part, and bytes that grow with shards or with images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from palpate.audit.estimate.costs import by_group
from palpate.storage.columns import packed
from palpate.storage.runs import RunFolder

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

_LINE = 220
"""Bytes of a line of the log for a shard."""


@dataclass(frozen=True)
class Stored:
    """What a pilot stored.

    Attributes:
        seconds: of each part for one image, by group.
        computing: seconds of all shards.
        driven: names of the parts that the process of the audit computes whatever the engine is.
        tables: the records of each part, all shards together.
        largest: the bytes of the records of the largest shard.
        fixed_bytes: of files that do not grow with the images.
        image_bytes: of exported images, for one image.
    """

    seconds: dict[str, tuple[float, ...]]
    computing: float
    driven: frozenset[str]
    tables: tuple[pa.Table, ...]
    largest: bytes
    fixed_bytes: int
    image_bytes: int

    @classmethod
    def of(cls, run: RunFolder, plan: Plan, together: int) -> Stored:
        """Read what a finished pilot stored.

        Args:
            run: its folder.
            plan: the pilot's plan.
            together: images of each of its shards.
        """
        description = run.describe()
        spent: dict[str, dict[int, float]] = defaultdict(dict)
        tables: dict[str, list[pa.Table]] = defaultdict(list)
        driven, rows = set(), set[int]()
        for name, table, seconds, alone in _shards(run, description):
            found = sorted(set(table["row"].to_pylist()))
            spent[name].update(dict.fromkeys(found, seconds / max(1, len(found))))
            rows.update(found)
            tables[name].append(table)
            if alone or plan.model.endpoint is not None:
                driven.add(name)
        driven |= {attack.title for attack in plan.attacks if attack.query_budget is not None}
        ordered = sorted(rows)
        groups = [ordered[start : start + together] for start in range(0, len(ordered), together)]
        files = [path for path in run.path.rglob("*") if path.is_file()]
        counted = {"records", "artefacts", "certificates"}
        exports = sum(_size(path) for path in files if path.relative_to(run.path).parts[0] == "exports")
        every = plan.export.images == "all"
        fixed = sum(_size(path) for path in files if path.relative_to(run.path).parts[0] not in {*counted, "exports"})
        return cls(
            by_group(spent, groups),
            sum(sum(found.values()) for found in spent.values()),
            frozenset(driven),
            tuple(pa.concat_tables(parts) for parts in tables.values()),
            max((path.read_bytes() for path in run.path.glob("records/*.parquet")), key=len, default=b""),
            fixed + (0 if every else exports),
            exports // max(1, len(rows)) if every else 0,
        )

    def alone(self, name: str) -> bool:
        """Whether only the process of the audit computes this part."""
        return name in self.driven

    def shard_bytes(self, images: int) -> int:
        """Bytes of the records of one shard with so many images, all parts together: a line through two sizes."""
        return sum(_line(table, images) + _LINE for table in self.tables)


def _line(table: pa.Table, images: int) -> int:
    pilot = len(set(table["row"].to_pylist()))
    none, whole = len(packed(table.slice(0, 0))), len(packed(table))
    return round(none + (whole - none) * images / max(1, pilot))


def _shards(run: RunFolder, description: dict[str, Any]) -> Iterator[tuple[str, pa.Table, float, bool]]:
    """Name of the part, records, seconds of each stored shard, and whether no worker computes it."""
    for identity, seconds in description["shard_seconds"].items():
        table = run.read_shard(identity)
        yield table["attack"][0].as_py(), table, seconds or 0.0, False
    for identity, seconds in (description.get("artefacts") or {}).get("seconds", {}).items():
        table = run.read_artefacts(identity)
        yield table["artefact"][0].as_py(), table, seconds or 0.0, False
    for identity, seconds in (description.get("certificates") or {}).get("seconds", {}).items():
        table = run.read_certificates(identity)
        yield f"certificates, sigma {table['sigma'][0].as_py():g}", table, seconds or 0.0, True


def _size(path: Path) -> int:
    return path.stat().st_size
