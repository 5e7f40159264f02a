"""The contracts of a metric on labels and decisions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from palpate.checks.violation import require

Metric = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], float]


def perfect_is_best(metric: Metric, best: float, classes: int) -> None:
    """Decisions that equal the labels give the best value."""
    labels = np.arange(10 * classes) % classes
    value = metric(labels, labels.copy())
    require(np.isclose(value, best), "perfect is best", f"{value:g} instead of {best:g}")


def order_does_not_matter(metric: Metric, best: float, classes: int) -> None:
    """Shuffling the cases changes nothing."""
    random = np.random.default_rng(0)
    labels, decided = random.integers(0, classes, (2, 60))
    order = random.permutation(60)
    first, second = metric(labels, decided), metric(labels[order], decided[order])
    require(np.isclose(first, second), "order does not matter", f"{first:g} and {second:g}")


def nothing_is_nan(metric: Metric, best: float, classes: int) -> None:
    """No cases give NaN, not a number that looks like a result, and no exception."""
    empty = np.zeros(0, dtype=np.int64)
    value = metric(empty, empty)
    require(np.isnan(value), "nothing is NaN", f"{value:g} for no cases")


METRIC_CONTRACTS: dict[str, Callable[[Metric, float, int], None]] = {
    check.__name__: check for check in (perfect_is_best, order_does_not_matter, nothing_is_nan)
}


def check_metric(metric: Metric, *, best: float = 1.0, classes: int = 5) -> None:
    """Check a metric `(labels, decisions) -> float` on whole numbers from 0.

    Raises:
        ContractError: a contract is broken; the text names it.
    """
    for contract in METRIC_CONTRACTS.values():
        contract(metric, best, classes)
