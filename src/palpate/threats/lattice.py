"""Whole stored steps: changes that a file can store, so that saving an image loses none of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from palpate.errors import InputError
from palpate.tensors import spread
from palpate.threats.neighbourhoods import Around

_RELATIVE = 1e-6
"""Slack of a quotient such as 2.0 / 0.1, which must be 20 steps and not 19."""
_ROUNDINGS = 4
"""By how many roundings of the images' floating point a value may differ from the whole step that it means."""
_OFF = 0.25
"""Largest distance of a clean value from the lattice, in steps, that rounding to float32 can explain."""


def steps_of_least(norm: str, tied: int = 1, share: float = 1.0) -> float:
    """Length in stored steps of the smallest change that a file can store: one step in each of `tied` channels.

    A channel with a share of the radius needs a radius that many times as large.
    """
    return {"linf": 1.0, "l2": math.sqrt(tied), "l1": float(tied)}[norm] / share


@dataclass(frozen=True, eq=False)
class Lattice:
    """The values that the files of a batch can store; all per sample, in float64.

    Attributes:
        step: (B,) distance of two neighbouring values.
        origin: (B,) one value of the lattice; None: each clean value is one.
        eps: (B,) radius of the ball.
        slack: (B,) by how much floating point may move a value from the whole step that it means, in steps.
        box: lowest and highest value.
    """

    step: Tensor
    origin: Tensor | None
    eps: Tensor
    slack: Tensor
    box: tuple[float, float]

    @classmethod
    def of(
        cls, inner: Around, step: Tensor, origin: Tensor | None, eps: Tensor, share: float = 1.0, tied: int = 1
    ) -> Lattice:
        """The lattice of a ball.

        Args:
            inner: the ball.
            step: as in `palpate.contracts.Limits`.
            origin: as there.
            eps: (B,) radius in float64.
            share: largest share of the radius that a channel has.
            tied: how many channels change together.

        Raises:
            InputError: steps of zero or too fine for the images' floating point, a radius that contains no stored
                value except the clean one, or clean values that the file cannot store.
        """
        clean = inner.clean
        step = step.to(clean.device, torch.float64).expand(len(clean))
        eps = eps.to(clean.device)
        if not bool((step > 0).all()):
            raise InputError("step: stored values must differ by more than zero.")
        ulp = torch.finfo(clean.dtype).eps * max(abs(inner.low), abs(inner.high))
        if len(step) and float(step.min()) < ulp:
            raise InputError(
                f"step: {float(step.min()):g} is finer than {clean.dtype} resolves at {inner.high:g}; "
                "such values cannot be distinguished. Use lattice = false."
            )
        least = step * steps_of_least(inner.norm, tied, share)
        if bool((least > eps * (1 + _RELATIVE)).any()):
            raise _too_small(eps, least, int((least > eps * (1 + _RELATIVE)).nonzero()[0]))
        lattice = cls(
            step,
            None if origin is None else origin.to(step).expand(len(clean)),
            eps,
            _ROUNDINGS * ulp / step,
            (inner.low, inner.high),
        )
        lattice._require_on_it(clean)
        return lattice

    def radius(self) -> Tensor:
        """The largest multiple of the step in the radius (B,)."""
        return self._steps(self.eps) * self.step

    def image(
        self, clean: Tensor, change: Tensor, least: Tensor, most: Tensor, norm: str, shares: Tensor | None = None
    ) -> Tensor:
        """The clean image plus the change in whole steps, inside ball and box, as the file's reader gives it.

        L-inf rounds to the nearest step. L2 and L1 round down, and then up again where the remainder is largest, while
        the length of the change allows it: the rounded change is not longer than the change itself.

        Args:
            clean: clean images (B, C, *spatial).
            change: their changes; the same in every channel if `least` has one channel.
            least: lowest change that the box allows (B, 1 or C, *spatial).
            most: highest one.
            norm: norm of the ball.
            shares: share of the radius that each channel has (1, C, 1, ...), or None.
        """
        step = spread(self.step, change.double())
        tied = clean.shape[1] if least.shape[1] < clean.shape[1] else 1
        units = (change[:, :1] if tied > 1 else change).double() / step
        slack = spread(self.slack, step)
        bottom, top = torch.ceil(least / step - slack), torch.floor(most / step + slack)
        if norm == "linf":
            counts = units.round()
            if shares is not None:
                reach = self._steps(spread(self.eps, units) * shares[:, : units.shape[1]].double(), step)
                bottom, top = torch.maximum(bottom, -reach), torch.minimum(top, reach)
        else:
            counts = _no_longer(_snapped(units, slack), norm, self.eps / self.step, tied)
        counts = torch.clamp(counts, bottom, top)
        # At most a rounding error is outside the box.
        return self._values(clean, counts).clamp(*self.box)

    def change(self, images: Tensor, clean: Tensor) -> Tensor:
        """`images - clean` in float64, exact if it is a whole number of steps."""
        step = spread(self.step, images.double())
        return _snapped((images.double() - clean.double()) / step, spread(self.slack, step)) * step

    def take(self, rows: Tensor) -> Lattice:
        """The same of some rows."""
        origin = None if self.origin is None else self.origin[rows]
        return Lattice(self.step[rows], origin, self.eps[rows], self.slack[rows], self.box)

    def at_radius(self, radius: Tensor) -> Lattice:
        """The same in balls of other radii (B,), which may be smaller than one step."""
        return replace(self, eps=radius.double())

    def _steps(self, reach: Tensor, step: Tensor | None = None) -> Tensor:
        return torch.floor(reach / (self.step if step is None else step) * (1 + _RELATIVE))

    def _values(self, clean: Tensor, counts: Tensor) -> Tensor:
        """In float64, by the formula of the reader, so that all bits are equal."""
        step = spread(self.step, clean.double())
        if self.origin is None:
            return (clean.double() + counts * step).to(clean.dtype)
        origin = spread(self.origin, clean.double())
        stored = torch.round((clean.double() - origin) / step)
        # Where nothing changes, the clean value stays as it was given.
        return torch.where(counts == 0, clean, ((stored + counts) * step + origin).to(clean.dtype))

    def _require_on_it(self, clean: Tensor) -> None:
        if self.origin is None or not clean.numel():
            return
        step, origin = spread(self.step, clean.double()), spread(self.origin, clean.double())
        units = (clean.double() - origin) / step
        off = (units - units.round()).abs().flatten(1).amax(1)
        if float(off.max()) > _OFF:
            raise InputError(
                f"lattice: image {int(off.argmax())} of the batch holds values that its file cannot store "
                f"({float(off.max()):.2g} steps off). Attack images as they were read, before any resampling."
            )


def _too_small(eps: Tensor, least: Tensor, row: int) -> InputError:
    return InputError(
        f"eps: {float(eps[row]):g} is below {float(least[row]):g}, the smallest change that the file can store. Saving "
        f"would undo every such change. Give at least {float(least[row]):g}, or lattice = false."
    )


def _snapped(units: Tensor, slack: Tensor) -> Tensor:
    whole = units.round()
    return torch.where((units - whole).abs() < slack, whole, units)


def _no_longer(units: Tensor, norm: str, most: Tensor, tied: int) -> Tensor:
    """Whole numbers near `units` (B, ...), whose length is at most that of `units` and at most `most` (B,).

    Values are rounded up in order of their remainders, largest first, while the length allows it; each counts for
    `tied` values.
    """
    flat = units.flatten(1).abs()
    whole = torch.floor(flat)
    rest = flat - whole
    power = 1 if norm == "l1" else 2
    length = (flat**power).sum(1) * tied
    budget = torch.minimum(length * (1 + 1e-9), (most * (1 + 1e-9)) ** power)
    order = rest.argsort(dim=1, descending=True, stable=True)
    cost = ((2 * whole + 1 if power == 2 else torch.ones_like(whole)) * tied).gather(1, order)
    spent = (whole**power).sum(1, keepdim=True) * tied + cost.cumsum(1)
    up = (spent <= budget[:, None]) & (rest.gather(1, order) > 0)
    counts = whole + torch.zeros_like(whole).scatter_(1, order, up.to(whole))
    return (counts * units.flatten(1).sign()).view_as(units)
