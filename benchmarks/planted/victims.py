"""Ways to make a model look robust, each around an honest network; `build` is the factory of the audits' plans."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.planted.networks import trained
from palpate.attacks.smoothing import gaussian

Wrapper = Callable[[nn.Module], nn.Module]


class Wrapped(nn.Module):
    """A network whose output is computed by a subclass in `forward`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def wrong(self, stored: Tensor) -> Tensor:
        """A small function of the image, one value per image, whose gradient says nothing about the network."""
        weight = torch.linspace(-1, 1, stored[0].numel(), dtype=stored.dtype).roll(137).reshape(stored[0].shape)
        return (torch.sin(stored * 0.7) * weight).flatten(1).mean(1, keepdim=True)

    def plus(self, outputs: Tensor, extra: Tensor) -> Tensor:
        """`extra` (B, 1) added to the outputs, with another factor for each, so that it moves every margin."""
        factors = torch.cos(2.0 * torch.arange(outputs[0].numel(), dtype=outputs.dtype))
        return outputs + (extra * factors).reshape(outputs.shape)


class Leaking(Wrapped):
    """The network's graph is detached; a tiny branch with a wrong gradient is not."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        return self.plus(self.network(stored.detach()), 1e-4 * self.wrong(stored))


class ThreeRows(Wrapped):
    """The gradient passes through three rows of the image only."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        seen = stored.detach().clone()
        seen[:, :, :3] = stored[:, :, :3]
        return self.network(seen)  # type: ignore[no-any-return]


class Rounding(Wrapped):
    """The image is rounded to steps of 4, which has no gradient; a tiny wrong gradient is added."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        return self.plus(self.network(torch.round(stored / 4) * 4), 1e-4 * self.wrong(stored))


class Ripple(Wrapped):
    """x + a sin(w x): values hardly change, and the slope changes its sign many times within the budget."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        return self.network(stored + 1.0 * torch.sin(12.0 * stored))  # type: ignore[no-any-return]


class Votes(Wrapped):
    """The share of votes over nine shifts of the image, plus a millionth of the logits."""

    def forward(self, stored: Tensor) -> Tensor:
        """(B, classes)."""
        logits = self.shifted(stored)
        votes = F.one_hot(logits.argmax(2), logits.shape[2]).to(logits.dtype).mean(0)
        return votes + 1e-6 * logits.mean(0)

    def shifted(self, stored: Tensor) -> Tensor:
        """Logits (9, B, classes) for the image shifted by 3 pixels in each direction."""
        shifts = [(down, right) for down in (-3, 0, 3) for right in (-3, 0, 3)]
        return torch.stack([self.network(stored.roll(shift, dims=(2, 3))) for shift in shifts])


class SoftVotes(Votes):
    """The mean probability over the shifts: what an attacker who knows of the votes climbs."""

    def forward(self, stored: Tensor) -> Tensor:
        """(B, classes)."""
        return self.shifted(stored).softmax(2).mean(0)


class Breaking(Wrapped):
    """The outputs overflow to NaN shortly before the decision changes: no verdict, and no success."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        outputs: Tensor = self.network(stored)
        best = outputs.topk(2, dim=1).values
        near = (best[:, :1] - best[:, 1:]) < 1.5
        near &= (stored - gaussian(stored, 3, 1.0)).flatten(1).abs().mean(1, keepdim=True) > 6
        return torch.where(near, torch.nan, outputs)


class Rounded(Wrapped):
    """The image is rounded to steps of 4 and nothing else: every gradient is exactly zero."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        return self.network(torch.round(stored / 4) * 4)  # type: ignore[no-any-return]


class Random(Wrapped):
    """The outputs change from pass to pass, so much that the mean over 16 draws changes too."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        outputs: Tensor = self.network(stored)
        return outputs + 30.0 * torch.randn_like(outputs)


class Shielded(Wrapped):
    """Images unlike those of training are answered from a coarse copy without gradient: no large change wins."""

    def forward(self, stored: Tensor) -> Tensor:
        """As the network."""
        rough = (stored - gaussian(stored, 5, 1.5)).flatten(1).abs().mean(1)
        coarse = gaussian(stored.detach().clamp(90, 190), 9, 3.0)
        far = (rough > 14) | (stored.flatten(1).std(1) > 32)
        answer = self.network(stored)
        away = self.network(torch.where(far.reshape(-1, 1, 1, 1), coarse, stored.detach()))
        return torch.where(far[:, None], away.detach(), answer)


HONEST = "honest"
WRAPPERS: dict[str, Wrapper] = {
    HONEST: lambda network: network,
    "leaking branch": Leaking,
    "three rows": ThreeRows,
    "rounding": Rounding,
    "ripple": Ripple,
    "votes": Votes,
    "breaking": Breaking,
    "rounded": Rounded,
    "random": Random,
    "shielded": Shielded,
}


def build(task: str, wrapper: str = HONEST, adversarial: bool = False, seed: int = 0) -> nn.Module:
    """A victim: a trained network, inside a wrapper of this name."""
    return WRAPPERS[wrapper](trained(task, adversarial, seed)).eval()
