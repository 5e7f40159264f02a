"""Which settings of the search were fastest for a model on this machine, kept between runs in a small file.

The file is in `palpate/layouts` below the user's folder for caches. `PALPATE_CACHE` in the environment names another
folder, or switches this off (`0`). What is missing, damaged or cannot be written does no harm: it is timed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from palpate.audit.plan.identity import digest
from palpate.errors import StorageError
from palpate.storage.writing import fleeting, write_atomically
from palpate.victim import Precision, Tuning
from palpate.victim.victim import MemoryLayout

_OFF = ("0", "")


def remembered(facts: Mapping[str, Any], time: Callable[[], Tuning]) -> Tuning:
    """The settings for these facts: those of an earlier run, or else those that `time` finds.

    Args:
        facts: everything that decides which settings are fastest, as JSON.
        time: finds them; its errors are not caught.
    """
    folder = _folder()
    if folder is None:
        return time()
    place = folder / "layouts" / f"{digest(facts)}.json"
    if (known := _read(place)) is not None:
        return known
    found = time()
    # A home that cannot be written is no reason to stop.
    with suppress(StorageError), fleeting():
        write_atomically(place, json.dumps(found.stored()).encode())
    return found


def _folder() -> Path | None:
    asked = os.environ.get("PALPATE_CACHE")
    if asked is not None:
        return None if asked.strip() in _OFF else Path(asked)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "palpate"
    except RuntimeError:  # no home
        return None


def _read(place: Path) -> Tuning | None:
    try:
        stored = json.loads(place.read_bytes())
    except (OSError, ValueError):
        return None
    found = Tuning.restored(stored) if isinstance(stored, dict) else None
    if found is None or not isinstance(found.fold, bool) or found.layout not in get_args(MemoryLayout):
        return None
    return found if {found.search, found.forward_no_grad} <= set(get_args(Precision)) else None
