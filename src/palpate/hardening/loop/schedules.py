"""How the learning rate and the budget change during the training; both depend only on the share of it that is done."""

from __future__ import annotations

from typing import Literal

SLOW_START = 0.25
"""Share of the training until the rate is at its largest."""
_FIRST = 0.1
_LAST = 0.01
_RAMP_BEGINS, _RAMP_ENDS = 0.25, 0.75


def rate_share(done: float) -> float:
    """The share of the largest learning rate when a share `done` (0 to 1) of the training is over.

    Slow start, fast decay, as arXiv 2012.13628 proposes for fine-tuning against attacks; the formula is ours:

        done < s:   0.1 + 0.9 done / s                      s = 0.25
        else:       0.01 ^ ((done - s) / (1 - s))

    Weights that are already good are not thrown away by large first steps, and the time at small rates, in which
    robust overfitting happens, is short.

    >>> [round(rate_share(done), 3) for done in (0, 0.125, 0.25, 0.625, 1)]
    [0.1, 0.55, 1.0, 0.1, 0.01]
    """
    if done < SLOW_START:
        return _FIRST + (1 - _FIRST) * done / SLOW_START
    return float(_LAST ** ((done - SLOW_START) / (1 - SLOW_START)))


def eps_share(schedule: Literal["constant", "ramp"], done: float) -> float:
    """The share of the full budget when a share `done` (0 to 1) of the training is over.

    `ramp` is 0 in the first quarter, grows linearly until three quarters, and is 1 from there (after arXiv
    2509.23325): for models that are far from robust, and would learn nothing from images they cannot read at all.

    >>> [eps_share("ramp", done) for done in (0.2, 0.25, 0.5, 0.75, 0.9)]
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    if schedule == "constant":
        return 1.0
    return min(1.0, max(0.0, (done - _RAMP_BEGINS) / (_RAMP_ENDS - _RAMP_BEGINS)))
