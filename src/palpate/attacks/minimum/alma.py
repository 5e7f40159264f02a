"""ALMA-prox: the smallest L-inf change that takes enough pixels of a mask to where the attack wants them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from palpate.attacks.minimum.norm import MinimumNorm, Shrinking
from palpate.contracts import Threat
from palpate.errors import InputError
from palpate.tensors import Tree, spread

_AVERAGE = 0.8
"""Share of the old value in running means of multipliers and squared gradients."""
_CHECK = 10
"""Steps between two checks of which pixels improved."""
_IMPROVED = 0.95
"""A constraint below this share of its last value improved."""
_GROWTH = 2.0
_SECTIONS = 40
"""Halvings that find the length of a proximal step."""
_SCALING = 0.02
"""By how much the weight of the constraints and the share of pixels that count change in a step."""
_FIRST = 0.5
"""Share of the pixels that count at first: with all of them, pixels that need not fall pull against those that do."""
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class AlmaProx(MinimumNorm):
    """ALMA-prox: an augmented Lagrangian over the pixels, and a proximal step that shortens the largest change.

        minimise |d|_inf  subject to  c_k(x + d) <= 0 for enough pixels k
        s_t   = 0.8 s_{t-1} + 0.2 g_t^2,   H_t = sqrt(s_t / (1 - 0.8^{t+1})),   g_t = grad sum_k w_k P(c_k, r_k, m_k)
        d_t+1 = prox_{a_t |.|_inf, H_t}(d_t - a_t range^2 g_t / H_t)

    with c_k a pixel's margin over the mean size of margins in the clean image, P the paper's penalty, m_k its
    multipliers (running means of P'), and r_k doubled where a pixel did not improve in ten steps. The proximal step
    clips the change to the length at which what is cut off, weighted by H, is a_t.

    Enough pixels: the goal decides (Dice at most its floor, at most 5 % left), so the share of pixels that count is
    adapted. The pixels of largest c are left out; their share grows while the goal is reached, and shrinks while not.

    Differs from the paper: the share above (the paper leaves out at most 1 %); margins in place of DLR, which needs
    three classes; lengths in ranges of values; the last iterate is scored too.
    Reference: Rony, Pesquet, Ben Ayed, CVPR 2023 (arXiv:2206.07179).

    Attributes:
        step: first step as a share of the range; it falls to a tenth.

    Raises:
        InputError: a step that is not above 0, or below one step.
    """

    # Declared again so that its type can be read here: settings are checked by the types of the signature.
    threat: Threat
    steps: int = 200
    step: float = 0.003

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.step < math.inf:
            raise InputError(f"step: {self.step:g} must be above 0.")

    def search(self, found: Shrinking) -> None:
        """One pass forward and one backward a step, and one forward at the end."""
        pixels = _Pixels(found, self.steps)
        squares = torch.zeros_like(found.images)
        for t in range(self.steps):
            margin, gradient = found.margin_and_gradient(t, pixels.climbed)
            gradient = gradient * found.range
            squares = _AVERAGE * squares + (1 - _AVERAGE) * gradient.square()
            metric = (squares / (1 - _AVERAGE ** (t + 1))).sqrt().clamp(min=1e-8)
            stride = self.step * pixels.decay(margin, t)
            clean = found.space.clean
            change = (found.images - clean) / found.range + spread(stride, gradient) * gradient / metric
            length = _clipping(change, metric, stride)
            wide = spread(length, change)
            # On the lattice in the ball of the next whole step: cut to a smaller one, short steps would never add up.
            found.move(clean + change.clamp(-wide, wide) * found.range, found.whole(length * found.range))
        found.score(self.steps)


class _Pixels:
    """The constraints of the samples: multipliers, penalties, and which pixels count."""

    def __init__(self, found: Shrinking, steps: int):
        self.found, self.steps, self.step = found, steps, 0
        self.scale = torch.ones_like(found.radius)
        self.share = torch.full_like(found.radius, _FIRST)
        self.first = torch.full_like(found.radius, steps // 2)
        self.multipliers = self.penalties = self.previous = self.unit = torch.empty(0)
        self.seen_lost = torch.empty(0)

    def climbed(self, outputs: Tree, margin: Tensor) -> Tensor:
        """Minus the Lagrangian of the pixels that count, whose gradient is taken."""
        pieces = self.found.task.pieces(outputs, self.found.targets)
        counted = pieces.weight > 0
        if self.step == 0:
            self._open(pieces.margin.detach(), counted)
        won = margin <= 0
        self.scale = (self.scale / torch.where(won, 1 + _SCALING, 1 - _SCALING)).clamp(0.1, 1.0)
        self.share = torch.where(won, self.share * (1 - _SCALING), self.share * (1 + _SCALING)).clamp(1e-6, 1.0)
        constraints = pieces.margin / self.unit + _TOLERANCE
        held = constraints.detach().double() * self.scale[:, None]
        counted = counted & (held <= self._hardest(held, counted)[:, None])
        self._penalise(held, counted, pieces.margin.detach() <= 0)
        slope = _slope(held, self.penalties, self.multipliers) * self.scale[:, None] * counted
        self.step += 1
        return -(slope.to(constraints) * constraints).sum(1)

    def decay(self, margin: Tensor, step: int) -> Tensor:
        """The length of a step as a share of the first (B,): it falls from the first success, or the middle, on."""
        if step < self.steps // 2:
            fresh = (margin <= 0) & (self.first == self.steps // 2)
            self.first = torch.where(fresh, torch.full_like(self.first, step), self.first)
        bend = (self.steps - self.first).clamp(min=1) / 9
        return bend / ((step - self.first).clamp(min=0) + bend)

    def _open(self, margin: Tensor, counted: Tensor) -> None:
        mean = (margin.abs() * counted).sum(1, keepdim=True) / counted.sum(1, keepdim=True).clamp(min=1)
        self.unit = mean.clamp(min=1e-30)
        self.multipliers = torch.ones_like(margin, dtype=torch.float64)
        self.penalties = torch.full_like(self.multipliers, 0.01)
        self.previous = (margin / self.unit).double()
        self.seen_lost = torch.zeros_like(counted)

    def _hardest(self, held: Tensor, counted: Tensor) -> Tensor:
        """The largest constraint that counts (B,): the easiest pixels up to the share count."""
        ordered = torch.where(counted, held, torch.inf).sort(dim=1).values
        count = (self.share * counted.sum(1)).ceil().long().clamp(min=1, max=held.shape[1])
        return ordered.gather(1, count[:, None] - 1)[:, 0]

    def _penalise(self, held: Tensor, counted: Tensor, lost: Tensor) -> None:
        """Multipliers follow the slope of the penalty; a penalty grows where a pixel neither fell nor improved."""
        self.seen_lost = self.seen_lost | lost
        if self.step and (self.step + 1) % _CHECK == 0:
            stuck = ~self.seen_lost & (held * counted > _IMPROVED * self.previous)
            self.penalties = torch.where(stuck, _GROWTH * self.penalties, self.penalties)
            self.previous, self.seen_lost = held, torch.zeros_like(lost)
        if self.step:
            slope = torch.where(counted, _slope(held, self.penalties, self.multipliers), 0.0)
            self.multipliers = torch.lerp(slope, self.multipliers, _AVERAGE).clamp(1e-12, 1.0)


def _slope(held: Tensor, penalty: Tensor, multiplier: Tensor) -> Tensor:
    """P'(y) with P(y) = m y + m r y^2 + r^2 y^3 / 6 for y >= 0, and m y / (1 - max(r, 1) y) below."""
    above = multiplier + 2 * multiplier * penalty * held + penalty.square() * held.square() / 2
    below = multiplier / (1 - penalty.clamp(min=1) * held.clamp(max=0)).square()
    return torch.where(held >= 0, above, below)


def _clipping(change: Tensor, metric: Tensor, stride: Tensor) -> Tensor:
    """The length (B,) to which the proximal step clips: sum_i H_i (|d_i| - length)+ = stride, or 0."""
    sizes, weights = change.abs().flatten(1).double(), metric.flatten(1).double()
    low, high = torch.zeros_like(stride), sizes.amax(1)
    for _ in range(_SECTIONS):
        middle = (low + high) / 2
        cut = ((sizes - middle[:, None]).clamp(min=0) * weights).sum(1)
        low, high = torch.where(cut > stride, middle, low), torch.where(cut > stride, high, middle)
    return high
