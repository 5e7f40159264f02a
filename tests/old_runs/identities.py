"""The identities of a plan: asked of the command line, which is stopped when it calls the first attack."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from palpate import catalog
from palpate.cli import main
from palpate.threats.ball import BALLS

Call = Callable[..., Any]
_INTERRUPTED = 130
_LETTERS = 16
"""Letters of a hash that are kept: one of some thousand hashes that differs keeps all of them with odds of 1e-15."""


@contextmanager
def attacks_replaced(replacement: Callable[[Call], Call]) -> Iterator[None]:
    """Inside, each kind of attack of the catalog is called through what `replacement` makes of its own call."""
    kinds: set[type[Any]] = {
        type(catalog.make(name, BALLS[one.norms[0]](1.0))) for name, one in catalog.attacks().items()
    }
    own = {kind: kind.__call__ for kind in kinds}
    for kind, call in own.items():
        kind.__call__ = replacement(call)
    try:
        yield
    finally:
        for kind, call in own.items():
            kind.__call__ = call


def _stopped(call: Call) -> Call:
    def stop(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    return stop


def command(*arguments: str) -> int:
    """Exit status of a command of palpate."""
    try:
        main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def audit(plan: Path, run: Path) -> int:
    """Exit status of `palpate audit`."""
    return command("audit", str(plan), "--out", str(run), "--quiet", "--threads", "1")


def identities(plan: str, inputs: Path, run: Path) -> dict[str, Any]:
    """What `run.json` says of the identities of a plan beside the inputs, each hash shortened; no attack is run."""
    path = inputs / "asked.toml"
    path.write_text(plan)
    with attacks_replaced(_stopped):
        status = audit(path, run)
    assert status == _INTERRUPTED, f"The audit ended with status {status} and not by the first attack."
    said = json.loads((run / "run.json").read_text())
    model = said["model"]
    return {
        "attacks": {attack["name"]: attack["item"][:_LETTERS] for attack in said["attacks"]},
        "shards": [shard[:_LETTERS] for shard in said["shards"]],
        "weights": model["sha256"][:_LETTERS],
        "model": model["files_sha256"][:_LETTERS],
        "preprocess": model["preprocess_sha256"][:_LETTERS],
        "data": said["data"]["fingerprint"][:_LETTERS],
    }
