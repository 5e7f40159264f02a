"""Bytes that an audit writes into `run.json` and its log: `python -m benchmarks.journal --shards 5000`.

A journal of that many shards stores them one after the other, as the runner does, without attacking anything.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.measure import say
from palpate.audit.run.journal import Journal
from palpate.storage.runs import RunFolder

ATTACKS = 8


class Counted(RunFolder):
    """A run folder that counts what is written into `run.json` and its log."""

    written = 0

    def save_description(self, description: Any) -> str:
        """Write `run.json`."""
        # What the log holds is counted before it is removed.
        Counted.written += self.log.stat().st_size if self.log.exists() else 0
        found = super().save_description(description)
        Counted.written += (self.path / "run.json").stat().st_size
        return found


class Bare(Journal):
    """A journal without model and images: only what shards change."""

    def describe(self) -> dict[str, Any]:
        """The parts of `run.json` that grow with the shards."""
        spent = [sum(self.seconds.get(one.identity, 0.0) for one in self.shards if one.item is item)
                 for item in self.items]  # fmt: skip
        return {
            "status": "finished" if self.finished else "unfinished",
            "shards": [shard.identity for shard in self.shards],
            "attacks": [{"name": item.identity, "seconds": round(time, 3)}
                        for item, time in zip(self.items, spent, strict=True)],
            "findings": self._noticed(),
            "shard_seconds": {shard.identity: self.seconds.get(shard.identity) for shard in self.shards},
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Named:
    """An attack or a shard of it, by its identity."""

    identity: str
    item: Any = None


def journal(folder: Path, shards: int) -> Journal:
    """A journal of this many shards of eight attacks."""
    items = [Named(f"attack {number}") for number in range(ATTACKS)]
    made = [Named(sha256(b"%d" % number).hexdigest(), items[number * ATTACKS // shards]) for number in range(shards)]
    nothing: Any = SimpleNamespace(root=folder, data=SimpleNamespace(roots=()))
    return Bare(Counted(folder), nothing, nothing, items, made, nothing, machine={"cpu": "none"})  # type: ignore[arg-type]


def run(folder: Path, shards: int) -> int:
    """Store every shard; gives the bytes that were written."""
    Counted.written = 0
    one = journal(folder, shards)
    one.save()
    for shard in one.shards:
        one.stored(shard, 1.234567)
    one.finished = "now"
    # A start that ends writes twice: before the gates are measured, and with them.
    one.save()
    one.save()
    return Counted.written


def main() -> None:
    """Print the bytes and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=5000)
    options = parser.parse_args()
    for shards in (options.shards // 10, options.shards):
        with tempfile.TemporaryDirectory() as folder:
            begin = time.process_time()
            written = run(Path(folder), shards)
            say(f"{shards} shards: {written / 1e6:.2f} MB written, {time.process_time() - begin:.2f} CPU s")


if __name__ == "__main__":
    main()
