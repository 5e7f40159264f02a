"""How a model is evaluated, for one call and for a metric that is updated batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor

from palpate.contracts import Task, Threat
from palpate.errors import InputError
from palpate.models.source import Outputs
from palpate.synonyms import called
from palpate.victim import Defence, Inferer

_OTHERS = ("groups", "limit")


@dataclass(frozen=True)
class Setting:
    """How a model is evaluated; the fields are the arguments of `palpate.evaluate`.

    Raises:
        InputError: a budget is missing, or an argument has another name here.
    """

    attacks: Any = "strongest"
    eps: Any = None
    norm: str = "linf"
    threat: Callable[[float], Threat] | None = None
    task: Task | str | None = None
    loss: Callable[..., Any] | None = None
    bounds: tuple[float, float] | None = None
    unit: str | None = None
    preprocess: Callable[[Tensor], Tensor] | None = None
    inferer: Inferer | None = None
    defences: Sequence[Defence] = ()
    outputs: Outputs | None = None
    output: str | int | None = None
    batch: int = 64
    seed: int = 0
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [*(one.name for one in fields(self) if one.name != "parameters"), *_OTHERS]
        for name in self.parameters:
            if (ours := called(name, known)) is not None:
                raise InputError(f"{name}: palpate.evaluate calls it '{ours}'.")
        if self.eps is None:
            raise InputError('eps: it is missing. Give a budget or several: eps="2/255" or eps=["2/255", "8/255"].')
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1:
            raise InputError(f"batch: {self.batch!r} must be a whole number of at least 1.")

    @property
    def budgets(self) -> list[Any]:
        """The budgets as they were written."""
        written = self.eps.tolist() if hasattr(self.eps, "tolist") else self.eps
        return [*written] if isinstance(written, (list, tuple)) else [written]
