"""`artefacts`: training on the worst of several random artefacts of acquisition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from palpate.annotations import Masks
from palpate.artefacts import catalog
from palpate.artefacts.artefact import Artefact, Scene, bound_to, rows_of
from palpate.artefacts.moving import moved, share_kept
from palpate.artefacts.parameter import WORST, free, theta_at
from palpate.errors import InputError
from palpate.hardening.contracts import Batch, Crafted, Situation
from palpate.hardening.recipes.adversarial import check_share, chosen
from palpate.hardening.recipes.starts import check_positive
from palpate.streams import Streams
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree, mapped, take

KEPT = 0.5
"""A draw that leaves less than this share of what is annotated in the image is not used, as in an audit."""


class _Made(NamedTuple):
    """One image (1, C, *spatial) with an artefact, and its targets."""

    image: Tensor
    targets: Tree


@dataclass(frozen=True)
class Artefacts:
    """The worst of k random artefacts of each image, at random severities.

        min_w  mean_i max_{d = 1..k} L( f_w(a_d(x_i)), a_d(y_i) ),   a_d an artefact of `names`, severity U(0, severity)

    Masks and boxes move with the anatomy. Artefacts obey the bounds and the stored steps, and neither the threat's ball
    nor its region: they are what a machine does to the whole image. Nothing is climbed: a step costs k passes forward.

    Reference: the worst of k random transformations is Engstrom, Tran, Tsipras, Schmidt, Madry, ICML 2019
    (arXiv:1712.02779); the artefacts are those of `palpate list artefacts`.

    Attributes:
        names: artefacts of the catalogue, each as likely as the others.
        draws: k.
        severity: highest severity, above 0 to 5.
        clean_share: probability with which an image stays as it is.
        unit: unit of the stored values, such as `HU`.
        spacing: mm of a pixel along each axis where the targets do not say it; empty: unknown.

    Raises:
        InputError: no or unknown names, or a number out of its range.
    """

    names: tuple[str, ...]
    draws: int = 4
    severity: float = 3.0
    clean_share: float = 0.25
    unit: str = ""
    spacing: tuple[float, ...] = ()
    name: ClassVar[str] = "artefacts"

    def __post_init__(self) -> None:
        if not self.names:
            raise InputError('artefacts: name at least one, such as names = ["noise"] (`palpate list artefacts`).')
        for one in self.names:
            for part in catalog.parts(one):
                catalog.find(part)
        check_positive("draws", self.draws)
        check_positive("severity", self.severity, most=WORST)
        check_share(self.clean_share)

    def craft(self, batch: Batch, situation: Situation) -> Crafted:
        """The worst draws, with the annotations where the anatomy went."""
        plain = isinstance(batch.targets, Tensor)
        # Labels of masks as `Masks`, which say what they are.
        targets = Masks(batch.targets) if plain and isinstance(situation.task, Segmentation) else batch.targets
        spared = chosen(batch, self.clean_share).tolist()
        kinds = tuple(catalog.make(one) for one in self.names)
        drawn = [self._drawn(kinds, batch, targets, row, spared[row], situation) for row in range(len(batch.images))]
        draws = [_joined([made[place] for made in drawn], plain) for place in range(self.draws)] if drawn else []
        worst = _worst(draws, situation) if draws else []
        best = [made[place] for made, place in zip(drawn, worst, strict=True)]
        return Crafted(*_joined(best, plain)) if best else Crafted(batch.images.clone(), batch.targets)

    def loss(self, batch: Batch, crafted: Crafted, situation: Situation) -> Tensor:
        """Mean loss of the images with artefacts."""
        return situation.loss(situation.network(crafted.images), crafted.targets).mean()

    def _drawn(
        self, kinds: tuple[Artefact, ...], batch: Batch, targets: Tree, row: int, spared: bool, situation: Situation
    ) -> list[_Made]:
        """The candidates of one image; those that are not allowed are the image itself."""
        here = torch.tensor([row], device=batch.images.device)
        one, stream = take(targets, here), batch.streams.take(torch.tensor([row]))
        clean = _Made(batch.images[here], one)
        if spared:
            return [clean] * self.draws
        scene = Scene(situation.victim.bounds, self._spacing(one), self.unit)
        made = [self._one(kinds, batch, clean, row, stream, scene) for _ in range(self.draws)]
        return [draw or clean for draw in made]

    def _one(
        self, kinds: tuple[Artefact, ...], batch: Batch, clean: _Made, row: int, stream: Streams, scene: Scene
    ) -> _Made | None:
        like = torch.zeros(1, dtype=torch.float64)
        which, strength, seed = stream.uniform((3,), like)[0].tolist()
        artefact = kinds[int(which * len(kinds))]
        unit = stream.uniform((free(artefact.parameters),), like)
        theta = theta_at(artefact.parameters, unit, strength * self.severity)
        own = Streams([int(seed * 2**53)])
        image = bound_to(artefact, clean.image[0], scene, own, rows_of(batch.limits, row))(theta)
        if not artefact.moves:
            return _Made(image, clean.targets)
        grid = artefact.grid(tuple(clean.image.shape[2:]), theta, scene)
        after = clean.targets if grid is None else moved(clean.targets, grid)
        return _Made(image, after) if float(share_kept(clean.targets, after)[0]) >= KEPT else None

    def _spacing(self, targets: Tree) -> tuple[float, ...] | None:
        if isinstance(targets, Masks) and targets.spacing is not None:
            return tuple(targets.spacing[0].tolist())
        return self.spacing or None


def _joined(made: list[_Made], plain: bool) -> _Made:
    """Images and targets of a batch; targets in the form in which the batch has them."""
    targets = mapped(lambda *rows: torch.cat(rows), *(one.targets for one in made))
    return _Made(
        torch.cat([one.image for one in made]), targets.labels if plain and isinstance(targets, Masks) else targets
    )


def _worst(draws: list[_Made], situation: Situation) -> list[int]:
    """Which draw has the highest training loss, for each image; one pass for all images of a draw."""
    losses = []
    with situation.victim, torch.no_grad():
        for images, targets in draws:
            losses.append(situation.loss(situation.victim.score(images), targets).double().nan_to_num(nan=-torch.inf))
    places: list[int] = torch.stack(losses).argmax(0).tolist()
    return places
