"""The engine of one process: jobs one after the other, with the model that is loaded already."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from palpate.audit.engines.bench import Bench, Say
from palpate.audit.engines.contracts import Job, Outcome, Pause
from palpate.storage.runs import RunFolder


@dataclass(frozen=True)
class Local:
    """Jobs in this process. Pictures and exports are written where they stay, so that no shard's are held in memory.

    Attributes:
        bench: the loaded model.
        run: the run folder.
        say: called after each batch.
    """

    bench: Bench
    run_folder: RunFolder
    say: Say | None = None

    def run(self, jobs: Iterator[Job | Pause]) -> Generator[Outcome, None, None]:
        """As `Engine.run`; also raises what the model's service or the disk raise."""
        for job in jobs:
            if isinstance(job, Pause):
                continue
            yield self.bench.carry_out(job, self.run_folder, self.say)
