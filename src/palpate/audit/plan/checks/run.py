"""Contradictions in `[run]` of a plan."""

from __future__ import annotations

import re
from collections.abc import Iterator

from palpate.audit.plan.problems import Problem
from palpate.audit.plan.sections.run import RunSection

ADDRESS = re.compile(r"[^\s:/]+:\d{1,5}")
"""Of a Ray cluster: HOST:PORT."""


def run_problems(run: RunSection) -> Iterator[Problem]:
    """What `[run]` asks for and cannot have."""
    if run.batch > run.shard:
        text = f"{run.batch} images cannot be attacked at once when {run.shard} are stored together."
        yield ("run", "batch"), f"{text} Write run.batch = {run.shard}, or run.shard = {run.batch}."
    if run.workers is not None and run.engine == "local":
        yield ("run", "workers"), 'engine = "local" has no workers. Add engine = "pool" or "ray", or remove it.'
    for name, given in (("address", run.address is not None), ("gpus", run.gpus > 0)):
        if given and run.engine != "ray":
            yield ("run", name), f'it belongs to engine = "ray", and the engine is "{run.engine}". Remove it.'
    if run.address is not None and run.address != "auto" and not ADDRESS.fullmatch(run.address):
        yield (
            ("run", "address"),
            f'\'{run.address}\' is not an address. Give HOST:PORT, such as "10.0.0.1:6379", or "auto".',
        )
    if run.gpus > 1 and run.gpus != int(run.gpus):
        yield ("run", "gpus"), f"{run.gpus:g} cannot be given to a worker. Give a whole number, or a part of one GPU."
    if run.gpus > 0 and run.device == "cpu":
        yield ("run", "gpus"), 'device = "cpu" uses no GPU. Remove one of the two.'
    if run.engine == "pool" and run.device == "cuda":
        text = "workers of a pool compute on the processor's cores"
        yield ("run", "engine"), f'{text}, and device is "cuda". Use engine = "local", or "ray" with gpus.'
