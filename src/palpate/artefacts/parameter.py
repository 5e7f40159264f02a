"""The parameters of an artefact: boxes of physical units, and how they grow with severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.units import quantity

WORST = 5
"""Severities go from 0, the image as it is, through five named ones; those between are interpolated."""
_SLACK = 1e-6


@dataclass(frozen=True)
class Parameter:
    """One number of an artefact, in a physical unit.

    A *strength* has `levels`: it grows with severity from `null`, where nothing changes. Any other parameter says where
    or how an artefact happens; its range `low` to `high` is the same at each severity.

    Attributes:
        name: in words, such as `diameter`.
        unit: `mm`, `degrees`, `g/cm3`, `share of the width` ...; empty for a plain number.
        source: where range and levels are from: a publication, or `derived: ` and how.
        low: lowest value.
        high: highest value.
        levels: values at severities 1 to 5, each farther from `null` than the one before.
        null: the value of a strength at which the image is unchanged.
        signed: a strength that goes both ways: at a severity it is between minus and plus its level.
        choices: names for the values 0, 1, 2 ... of a parameter that is a choice.

    Raises:
        InputError: the range is empty, or levels do not move away from `null`.
    """

    name: str
    unit: str
    source: str
    low: float = 0.0
    high: float = 1.0
    levels: tuple[float, float, float, float, float] | None = None
    null: float = 0.0
    signed: bool = False
    choices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.choices:
            object.__setattr__(self, "low", 0.0)
            object.__setattr__(self, "high", float(len(self.choices)))
        if self.levels is not None:
            away = [abs(level - self.null) for level in (self.null, *self.levels)]
            if any(later <= sooner for sooner, later in pairwise(away)):
                raise InputError(f"levels: those of '{self.name}' must move away from {self.null:g}.")
            ends = self.range(WORST) if self.signed else (self.null, self.levels[-1])
            object.__setattr__(self, "low", min(ends))
            object.__setattr__(self, "high", max(ends))
        if not self.low < self.high:
            raise InputError(f"range: '{self.name}' goes from {self.low:g} to {self.high:g}; it must not be empty.")

    def level(self, severity: float) -> float:
        """The value of a strength at a severity from 0 to 5: linear between the named ones."""
        if self.levels is None:
            raise InputError(f"'{self.name}' does not depend on severity.")
        points = (self.null, *self.levels)
        below = min(int(severity), WORST - 1)
        share = severity - below
        # Exact at the named severities, and at 0.
        return points[below] if share == 0 else points[below] * (1 - share) + points[below + 1] * share

    def range(self, severity: float) -> tuple[float, float]:
        """Lowest and highest value at a severity; equal for a strength of one sign."""
        if self.levels is None:
            return self.low, self.high
        level = self.level(severity)
        away = abs(level - self.null)
        return (self.null - away, self.null + away) if self.signed else (level, level)

    def words(self, value: float) -> str:
        """`diameter 6 mm`, `shift 5% of the width`, `material titanium`."""
        if self.choices:
            return f"{self.name} {self.choices[min(int(value), len(self.choices) - 1)]}"
        return f"{self.name} {quantity(value, self.unit)}"


def free(parameters: Sequence[Parameter]) -> int:
    """How many numbers a search has to choose at a severity: all but strengths of one sign."""
    return sum(parameter.levels is None or parameter.signed for parameter in parameters)


def theta_at(parameters: Sequence[Parameter], unit: Tensor, severity: Tensor | float) -> Tensor:
    """Parameters in physical units (N, D) of points of the unit cube at a severity.

    Args:
        parameters: D of them.
        unit: (N, F) in [0, 1], one column for each parameter that a search chooses (`free`); differentiable.
        severity: for all points, or (N,).
    """
    severities = torch.as_tensor(severity, dtype=torch.float64).expand(len(unit)).tolist()
    columns, place = [], 0
    for parameter in parameters:
        ends = torch.tensor([parameter.range(one) for one in severities], dtype=torch.float64).to(unit.device)
        ends = ends.reshape(-1, 2)
        if parameter.levels is None or parameter.signed:
            share = unit[:, place].double()
            place += 1
            # A signed strength of 0 is exactly its null.
            columns.append(torch.where(ends[:, 0] == ends[:, 1], ends[:, 0], torch.lerp(ends[:, 0], ends[:, 1], share)))
        else:
            columns.append(ends[:, 0])
    return torch.stack(columns, 1) if columns else unit.new_zeros((len(unit), 0), dtype=torch.float64)


def is_null(parameters: Sequence[Parameter], theta: Tensor) -> Tensor:
    """Which rows of theta (N, D) leave the image as it is: every strength is at its null (N,) bool."""
    nothing = torch.ones(len(theta), dtype=torch.bool, device=theta.device)
    for place, parameter in enumerate(parameters):
        if parameter.levels is not None:
            nothing &= theta[:, place] == parameter.null
    return nothing


def check_theta(name: str, parameters: Sequence[Parameter], theta: Tensor) -> None:
    """Refuse parameters outside their ranges.

    Raises:
        InputError: theta has another form, or a value is outside its range or not a number.
    """
    if theta.ndim != 2 or theta.shape[1] != len(parameters):
        names = ", ".join(parameter.name for parameter in parameters)
        raise InputError(f"theta: {name} has {len(parameters)} parameters ({names}); its form is {list(theta.shape)}.")
    for place, parameter in enumerate(parameters):
        slack = _SLACK * (parameter.high - parameter.low)
        values = theta[:, place].detach().double()
        inside = (values >= parameter.low - slack) & (values <= parameter.high + slack)
        if not bool(inside.all()):
            wrong = float(values[~inside][0])
            unit = f" {parameter.unit}" if parameter.unit else ""
            raise InputError(
                f"theta: {parameter.name} = {wrong:g} of {name} is outside its range "
                f"{parameter.low:g} to {parameter.high:g}{unit}."
            )


def words(parameters: Sequence[Parameter], theta: Sequence[float]) -> str:
    """The parameters of one image in words, strengths first."""
    order = sorted(zip(parameters, theta, strict=True), key=lambda pair: pair[0].levels is None)
    return ", ".join(parameter.words(value) for parameter, value in order)
