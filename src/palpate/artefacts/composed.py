"""Several artefacts at once, in the order in which they happen physically."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from palpate.artefacts.artefact import Artefact, Bound, Scene, bound_to
from palpate.artefacts.parameter import Parameter
from palpate.errors import InputError
from palpate.streams import Streams

_OUTSIDE = 3.0
"""Where pixels come from that an earlier part takes from outside of the image, in coordinates from -1 to 1."""


@dataclass(frozen=True)
class Composed(Artefact):
    """Two or more artefacts: b(a(image)), with a before b if its `stage` is smaller; equal stages stay in order.

    The parameters are those of the parts, each with the name of its part in front. All strengths grow with one
    severity. A part at its null gives exactly what came in; the whole is null if all parts are. Between two parts,
    values are clipped to the bounds and not rounded: only the result is stored.

    A later part is bound to what an earlier one made, once per candidate, so it may cost more than alone. The gradient
    of the earlier part passes the later one as if that added its change: exact for changes that are added, an
    approximation for others. The search keeps no step that is not better.

    Attributes:
        parts: artefacts, sorted by stage; a composition among them is taken apart.

    Raises:
        InputError: fewer than two, one twice, or no number of axes that all can act on.

    >>> from palpate.artefacts.general import Brightness, Position
    >>> Composed((Brightness(), Position())).name
    'position+brightness'
    """

    parts: tuple[Artefact, ...]

    def __post_init__(self) -> None:
        flat = [inner for part in self.parts for inner in (part.parts if isinstance(part, Composed) else (part,))]
        parts = tuple(sorted(flat, key=lambda part: part.stage))
        names = [part.name for part in parts]
        if len(parts) < 2:
            raise InputError("parts: a composition needs at least two artefacts.")
        if twice := [name for name in names if names.count(name) > 1]:
            raise InputError(
                f"parts: '{twice[0]}' is named twice; a composition has each artefact once. Name another one."
            )
        dimensions = [number for number in parts[0].dimensions if all(number in part.dimensions for part in parts)]
        if not dimensions:
            raise InputError(f"parts: {' and '.join(names)} act on different numbers of spatial axes.")
        whole = {
            "parts": parts,
            "name": "+".join(names),
            "parameters": tuple(_prefixed(part.name, one) for part in parts for one in part.parameters),
            "dimensions": tuple(dimensions),
            "needs": frozenset().union(*(part.needs for part in parts)),
            "gradient": all(part.gradient for part in parts),
            "stage": parts[0].stage,
        }
        # What is the same for all artefacts of another class depends on the parts here.
        for attribute, value in whole.items():
            object.__setattr__(self, attribute, value)

    @property
    def moves(self) -> bool:
        """Whether a part moves anatomy."""
        return any(part.moves for part in self.parts)

    def bind(self, image: Tensor, scene: Scene, streams: Streams) -> Bound:
        """See `Artefact.bind`; each part draws from a stream of its own."""
        seeds = (streams.uniform((len(self.parts),), torch.zeros(1, dtype=torch.float64))[0] * 2**53).long().tolist()
        first = bound_to(self.parts[0], image, scene, Streams(seeds[:1]))
        columns = [len(part.parameters) for part in self.parts]

        def made(theta: Tensor) -> Tensor:
            own = torch.split(theta, columns, 1)
            images = first(own[0])
            for part, seed, values in zip(self.parts[1:], seeds[1:], own[1:], strict=True):
                after = [_after(part, images[row], values[row : row + 1], scene, seed) for row in range(len(theta))]
                images = torch.cat(after) if after else images
            return images

        return made

    def grid(self, shape: tuple[int, ...], theta: Tensor, scene: Scene) -> Tensor | None:
        """See `Artefact.grid`: the later part points into the result of the earlier one, and that into the image."""
        whole: Tensor | None = None
        own = torch.split(theta, [len(part.parameters) for part in self.parts], 1)
        for part, values in zip(self.parts, own, strict=True):
            grid = part.grid(shape, values, scene)
            if grid is not None:
                whole = grid if whole is None else _through(whole, grid)
        return whole


def _prefixed(name: str, parameter: Parameter) -> Parameter:
    return replace(parameter, name=f"{name} {parameter.name}")


def _after(part: Artefact, image: Tensor, theta: Tensor, scene: Scene, seed: int) -> Tensor:
    """One candidate (1, C, *spatial) after a later part."""
    made = bound_to(part, image.detach(), scene, Streams((seed,)))(theta)
    # Adds an exact zero that carries the gradient of the earlier part.
    return made + (image - image.detach()) if image.requires_grad else made


def _through(earlier: Tensor, later: Tensor) -> Tensor:
    """The grid of two moves (K, *spatial, n): where `earlier` takes from what `later` points to."""
    whole = F.grid_sample(earlier.movedim(-1, 1), later.to(earlier), padding_mode="border", align_corners=False)
    outside = (later.abs() > 1).any(-1, keepdim=True)
    return torch.where(outside, torch.full_like(later, _OUTSIDE), whole.movedim(1, -1).to(later))
