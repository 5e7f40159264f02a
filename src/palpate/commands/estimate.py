"""`palpate estimate`."""

from __future__ import annotations

import json
import math
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from palpate.commands.carry_out import run_folder
from palpate.commands.status import INTERRUPTED, AllowPickle, Engine, Plan, Root, Threads, Verbose
from palpate.console import console, echo, echo_lines
from palpate.units import counted

if TYPE_CHECKING:
    from palpate.audit.estimate.costs import Costs

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def estimate(
    plan: Plan,
    root: Root = None,
    engine: Annotated[
        Engine | None, typer.Option(help="Where shards would be computed, instead of run.engine.")
    ] = None,
    workers: Annotated[
        list[int] | None, typer.Option(min=1, help="Workers of that engine; may be given several times.")
    ] = None,
    images: Annotated[
        int | None, typer.Option(min=1, help="Images of the pilot; by default as many as a minute allows.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="What was measured, and the forecasts, as JSON.")] = False,
    allow_pickle: AllowPickle = False,
    threads: Threads = None,
    verbose: Verbose = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """How long a plan takes and how much memory and disk it needs: a pilot audits a few of its images.

    The pilot's folder is removed again. The forecast counts everything that an audit does, and has an interval.
    """
    import torch

    from palpate.allocator import choose_allocation
    from palpate.audit.engines.processes import processors
    from palpate.audit.estimate.forecast import forecast
    from palpate.audit.estimate.pilot import pilot
    from palpate.audit.plan.plan import load_plan
    from palpate.audit.run.display import displayed
    from palpate.audit.run.progress import Silence
    from palpate.report.page.html import write_report

    loaded = load_plan(plan, root).on(None if engine is None else engine.value, None)
    choose_allocation(frugal=loaded.model.windowed)
    if threads is not None:
        torch.set_num_threads(threads)
    place = run_folder(plan).parent
    try:
        with nullcontext(Silence()) if quiet else displayed(console(stderr=True), every_shard=verbose) as progress:
            costs = pilot(loaded, place, write_report, images=images, allow_pickle=allow_pickle, progress=progress)
    except KeyboardInterrupt:
        echo("Stopped: nothing was measured, and the folder of the pilot is removed.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    wanted = list(dict.fromkeys(workers or [loaded.run.workers or processors()]))
    wanted = [1] if costs.engine == "local" else wanted
    if json_:
        found = {"costs": asdict(costs), "forecasts": [asdict(forecast(costs, count)) for count in wanted]}
        echo_lines(json.dumps(_finite(found), indent=1))
    else:
        echo_lines("\n".join(lines(costs, wanted)))
        if loaded.harden is not None:
            echo("This is the audit alone. `palpate harden` also trains, and audits twice with stronger attacks.")


def lines(costs: Costs, workers: list[int]) -> list[str]:
    """What is printed: the plan, the pilot, a line for each number of workers, disk, and what limits the speed."""
    from palpate.audit.estimate.forecast import drawn, forecast, most_workers

    many = "an interval needs more images" if math.isinf(costs.spread) else f"± {costs.spread:.0%}"
    said = [
        f"{_many(costs.images, 'image')}, {_many(len(drawn(costs)), 'shard')} of up to "
        f"{counted(costs.shard, 'image')}.",
        f"Pilot: {counted(costs.piloted, 'image')}, {costs.together} at once, engine {costs.engine}, "
        f"{counted(costs.threads, 'thread')} of torch. {costs.seconds:.3g} s for each image and all attacks together "
        f"({many}).",
    ]
    for count in workers:
        found = forecast(costs, count)
        where = "local" if costs.engine == "local" else f"{costs.engine}, {count} workers"
        upper = "?" if math.isinf(found.high) else lasting(found.high)
        memory = f"{size(found.memory)} of memory"
        memory += f" and {size(found.worker)} for each worker" if found.worker is not None else ""
        said.append(f"{where}: {lasting(found.seconds)} ({lasting(found.low)} to {upper}), {memory}.")
    last = forecast(costs, workers[-1])
    said.append(f"Of this, one process reads and checks all images before the first shard: {lasting(last.before)}.")
    said.append(f"Disk: {size(costs.disk)}.")
    if costs.engine != "local":
        said.append(f"More than about {most_workers(costs):,.0f} workers gain nothing: one process stores all shards.")
    if costs.together < costs.batch and costs.together < costs.images:
        said.append(
            f"The plan attacks {costs.batch} images at once, which is faster for small models, so the real time may be "
            "shorter. "
            f"--images {min(4 * costs.batch, costs.images)} measures it."
        )
    return said


def _many(number: int, one: str) -> str:
    return counted(number, one).replace(str(number), f"{number:,}")


def lasting(seconds: float) -> str:
    """A time in its two largest units.

    >>> lasting(93784), lasting(61), lasting(0.4)
    ('1 d 2 h', '1 min 1 s', '0 s')
    """
    left = round(seconds)
    for place, (unit, length) in enumerate(_UNITS):
        if left >= length:
            smaller = _UNITS[place + 1 : place + 2]
            rest = [f"{(left % length) // below} {name}" for name, below in smaller if (left % length) // below]
            return " ".join([f"{left // length} {unit}", *rest])
    return "0 s"


def size(count: float) -> str:
    """A number of bytes in words.

    >>> size(1536), size(3.2e9)
    ('2 kB', '3.2 GB')
    """
    for unit, length in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


def _finite(found: object) -> object:
    """JSON has no infinity: null is what is not known."""
    if isinstance(found, dict):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and not math.isfinite(found) else found
