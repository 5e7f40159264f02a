"""A small audit with the plan's own model, images and engine, in a folder that is removed again; what it costs."""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from palpate.audit.estimate.costs import Cost, Costs
from palpate.audit.estimate.stored import Stored
from palpate.audit.plan.tables import listed, load_table
from palpate.audit.run.progress import Progress, loading
from palpate.audit.run.runner import audit
from palpate.data.table import Table
from palpate.errors import InputError
from palpate.storage.runs import RunFolder
from palpate.storage.writing import mark
from palpate.units import counted

if TYPE_CHECKING:
    from palpate.audit.plan.plan import Plan

GROUPS = 4
"""Groups of images in a pilot: so many are needed for an interval."""
FIRST = 2
"""Images of each group of a first pilot, which says how many the next one can have."""
_COMMITS = 20
_PREFIX = ".estimate-"


def pilot(
    plan: Plan,
    place: Path,
    report: Callable[[RunFolder], object],
    *,
    images: int | None = None,
    seconds: float = 60.0,
    allow_pickle: bool = False,
    progress: Progress,
) -> Costs:
    """Carry out the plan on a few images, and measure.

    Args:
        plan: the plan.
        place: the folder of the run folders: the pilot's is made there, so that it is on the same disk, and removed.
        report: writes the report of a run.
        images: of the pilot; None: as many as about `seconds` allow, up to four batches.
        seconds: of computing that a pilot may take, if `images` is None; a first one with eight images may take more.
        allow_pickle: load a model whose file can run any code.
        progress: is called as the pilot proceeds.

    Raises:
        InputError: the model or the images cannot be audited, or all attacks failed.
    """
    table = listed(plan)
    total = len(table) if plan.data.limit is None else min(len(table), plan.data.limit)
    if images is not None and images > total:
        progress.message(f"The plan has {counted(total, 'image')}, so the pilot takes all of them and not {images}.")
    if images is not None:
        return _measured(plan, total, min(images, total), place, report, allow_pickle, progress)
    first = _measured(plan, total, min(GROUPS * FIRST, total), place, report, allow_pickle, progress)
    more = min(int(seconds / max(first.seconds, 1e-9)), GROUPS * plan.run.batch, total)
    if more < 2 * first.piloted:
        return first
    return _measured(plan, total, more, place, report, allow_pickle, progress)


def _measured(
    plan: Plan,
    total: int,
    images: int,
    place: Path,
    report: Callable[[RunFolder], object],
    allow_pickle: bool,
    progress: Progress,
) -> Costs:
    together = min(plan.run.batch, max(1, images // GROUPS))
    small = _small(plan, images, together)
    loading(progress, f"Pilot with {images} images.")
    with _folder(place) as folder:
        watched = _Watched(progress)
        begin = time.perf_counter()
        run = _carried_out(small, folder, allow_pickle, watched)
        report(run)
        whole = time.perf_counter() - begin
        stored = Stored.of(run, small, together)
        read, row = _reading(small)
        reading = read + watched.clean / images
        return Costs(
            engine=plan.run.engine,
            threads=torch.get_num_threads() if _local(plan) else 1,
            images=total,
            shard=plan.run.shard,
            batch=plan.run.batch,
            piloted=images,
            together=together,
            parts=tuple(Cost(name, found, stored.alone(name)) for name, found in stored.seconds.items()),
            fixed=max(0.0, whole - images * reading - stored.computing),
            reading=reading,
            commit=_commit(folder / "again", stored.largest),
            memory=_peak(resource.RUSAGE_SELF),
            worker=_peak(resource.RUSAGE_CHILDREN) if plan.run.engine == "pool" else None,
            row=row,
            disk_fixed=stored.fixed_bytes,
            disk_shard=stored.shard_bytes(plan.run.shard),
            disk_image=stored.image_bytes,
        )


def _small(plan: Plan, images: int, together: int) -> Plan:
    """The plan with fewer images, in shards of one batch each, and with one worker."""
    workers = None if _local(plan) else 1
    data = plan.data.model_copy(update={"limit": images})
    return plan.model_copy(
        update={"data": data, "run": plan.run.model_copy(update={"shard": together, "workers": workers})}
    )


def _carried_out(plan: Plan, folder: Path, allow_pickle: bool, progress: Progress) -> RunFolder:
    outcome = audit(plan, folder, allow_pickle=allow_pickle, progress=progress)
    if outcome.interrupted:
        raise KeyboardInterrupt
    if outcome.status != "finished":
        failures = (f"{one.subject}: {one.text}" for one in outcome.findings if one.level == "failure")
        raise InputError(f"{plan.origin}: the pilot did not finish: {'; '.join(failures)}")
    return RunFolder(folder)


def _local(plan: Plan) -> bool:
    return plan.run.engine == "local"


class _Watched:
    """Passes everything on, and measures the pass over all clean images, which begins with the last message."""

    def __init__(self, progress: Progress):
        self.progress, self.clean, self._last = progress, 0.0, time.perf_counter()
        self._started = False

    def start(self, total: int) -> None:
        if not self._started:
            self.clean, self._started = time.perf_counter() - self._last, True
        self.progress.start(total)

    def advance(self, shard: str, seconds: float, images: int) -> None:
        self.progress.advance(shard, seconds, images)

    def message(self, text: str) -> None:
        self._last = time.perf_counter()
        self.progress.message(text)


@contextmanager
def _folder(place: Path) -> Iterator[Path]:
    """A run folder for this block. What a killed pilot left is removed, because it may hold images."""
    place.mkdir(parents=True, exist_ok=True)
    for left in place.glob(f"{_PREFIX}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=place, prefix=f"{_PREFIX}{mark()}-") as name:
        yield Path(name) / "run"


def _reading(plan: Plan) -> tuple[float, int]:
    """Seconds and bytes of memory for what is read of one image before the attacks; the images are in the cache."""

    def read() -> Table:
        table = load_table(plan)
        for row in range(len(table)):
            table.header(row)
        table.fingerprint()
        return table

    begin = time.perf_counter()
    count = len(read())
    seconds = time.perf_counter() - begin
    tracemalloc.start()
    try:
        table = read()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return seconds / count, held // len(table)


def _commit(folder: Path, data: bytes) -> float:
    """Seconds to store the records of one shard and its line of the log, on this disk."""
    run = RunFolder(folder)
    begin = time.perf_counter()
    for number in range(_COMMITS):
        run.commit(f"{number:02}", data, {})
        run.append_change("0" * 64, {"set": [(("shard_seconds", "0" * 64), 1.0), (("attacks", 0, "seconds"), 1.0)]})
    seconds = (time.perf_counter() - begin) / _COMMITS
    shutil.rmtree(folder)
    return seconds


def _peak(who: int) -> int:
    """Most bytes of memory of this process, or of the largest of its children that ended."""
    most = resource.getrusage(who).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
