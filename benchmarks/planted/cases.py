"""The planted cases: a victim, a plan of attacks, and the indicators that must fire; none for honest victims."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.planted.networks import EPS
from benchmarks.planted.victims import HONEST
from palpate.metrics.validity.indicators import (
    FREE,
    INCOMPLETE,
    MISLEADING,
    SILENT,
    TRANSFER,
    UNAVAILABLE,
    UNCONSTRAINED,
    UNSTABLE,
    WEAK,
)

USUAL = (("noise", {}), ("fgsm", {}), ("pgd", {"steps": 40}), ("apgd-margin", {"steps": 40}))
STRONGEST = (("strongest", {}), ("noise", {}))
"""The attacks that `palpate init` plans."""
SHORT = (("noise", {}), ("pgd", {"steps": 4, "step": 0.03}))
"""Four tiny steps: the climb ends far from the top."""


@dataclass(frozen=True)
class Case:
    """One audit whose verdict is known.

    Attributes:
        name: what was planted.
        task: `classification`, `segmentation` or `multilabel`.
        wrapper: what hides the network's weakness (`benchmarks.planted.victims`).
        adversarial: the network inside is adversarially trained.
        expected: the indicators that may fire, of which at least one must; empty for an honest victim.
        exact: all of `expected` must fire.
        attacks: name in the catalog and parameters.
        eps: radius of the audit in stored values.
        seed: of the training.
    """

    name: str
    task: str
    wrapper: str = HONEST
    adversarial: bool = False
    expected: tuple[str, ...] = ()
    exact: bool = False
    attacks: tuple[tuple[str, dict[str, float]], ...] = USUAL
    eps: float = EPS
    seed: int = 0

    @property
    def honest(self) -> bool:
        """Whether nothing was planted."""
        return not self.expected


_MASKED = (TRANSFER, FREE, MISLEADING)
"""The gradients lead nowhere: whatever does not rely on them wins."""
ALSO = (INCOMPLETE, WEAK)
"""A misled climb is a random walk, so more starts or noise may win some images too."""


_RIPPLED = (*_MASKED, INCOMPLETE)
"""A climb stops in the ripple where it began, so other starts win too; what they win is not tried by later probes."""


def _masked(task: str, *wrappers: str) -> tuple[Case, ...]:
    expected = {"ripple": _RIPPLED}
    return tuple(Case(wrapper, task, wrapper, expected=expected.get(wrapper, _MASKED)) for wrapper in wrappers)


def _honest(task: str) -> tuple[Case, ...]:
    return (
        Case("plain", task),
        Case("adversarially trained", task, adversarial=True),
        Case("adversarially trained, another seed", task, adversarial=True, seed=1),
    )


def _alone(name: str, wrapper: str, indicator: str, *, adversarial: bool = False, **more: object) -> Case:
    """A victim of one indicator of Pintor et al., and of no other."""
    return Case(name, "classification", wrapper, adversarial, (indicator,), exact=True, **more)  # type: ignore[arg-type]


CASES: tuple[Case, ...] = (
    *_masked("classification", "leaking branch", "three rows", "rounding", "ripple"),
    Case("votes", "classification", "votes", expected=_MASKED, eps=3.0),
    *_masked("segmentation", "leaking branch", "three rows", "rounding", "ripple"),
    *_masked("multilabel", "leaking branch", "three rows", "rounding", "ripple"),
    _alone("outputs break near the border", "breaking", SILENT, adversarial=True),
    _alone("four tiny steps", HONEST, INCOMPLETE, attacks=SHORT),
    _alone("gradient of another function", "leaking branch", TRANSFER),
    _alone("coarse answer far away", "shielded", UNCONSTRAINED, adversarial=True),
    _alone("random outputs", "random", UNSTABLE),
    _alone("rounded", "rounded", UNAVAILABLE),
    *_honest("classification"),
    *_honest("segmentation"),
    *_honest("multilabel"),
)
