"""Whether an exception means that there is not enough memory. Every library has its own exception for it."""

from __future__ import annotations

import re

_CLASSES = {"MemoryError", "OutOfMemoryError"}
_WORDS = re.compile(
    r"(?i)(can(no|')?t|unable to|failed to|could not) alloc|not enough (host |device |free )?memory"
    r"|allocate memory|out of memory|insufficient memory|bad_alloc|_ALLOC_FAILED|ENOMEM"
)


def out_of_memory(error: BaseException | None) -> bool:
    """Whether it, or its cause, means that: by its class, or (torch on a CPU, ONNX) only by its text."""
    while error is not None:
        if {kind.__name__ for kind in type(error).__mro__} & _CLASSES:
            return True
        if isinstance(error, (RuntimeError, OSError)) and _WORDS.search(str(error)):
            return True
        error = error.__cause__
    return False
