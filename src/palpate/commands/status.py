"""Exit statuses and arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

FINISHED, GATE_FAILED, BAD_INPUT, INCOMPLETE, FAULT, INTERRUPTED = 0, 1, 2, 3, 70, 130
NOT_BETTER = 1
"""No epoch of a training was better than the model before it."""

Plan = Annotated[Path, typer.Argument(help="The plan, a TOML file.")]
Root = Annotated[
    Path | None,
    typer.Option(help="Folder that the plan's paths start from, for a plan whose images and model are elsewhere."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of torch; by default torch chooses.")]
AllowPickle = Annotated[
    bool,
    typer.Option(
        "--allow-pickle",
        help="Load a model file that can run any code on this machine: a pickle, a bundle's expressions, "
        "TorchScript that uses files, compiled code.",
    ),
]


Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout, and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table; only the report's path.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="A line with its time for each stored shard.")]


class Engine(StrEnum):
    """Where shards are computed: in this process, in worker processes, or on a Ray cluster."""

    LOCAL = "local"
    POOL = "pool"
    RAY = "ray"
