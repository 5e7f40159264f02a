"""One small training situation of every kind of task, for contracts that every recipe keeps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from palpate.annotations import Boxes, Candidates, Masks
from palpate.contracts import Limits, Task
from palpate.hardening.contracts import Batch, Situation
from palpate.hardening.losses.default import default_loss
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.tasks.detection import Detection
from palpate.tasks.heads import Cumulative, OneLogit
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree, mapped
from palpate.threats.confined import Confined
from palpate.victim import Victim

BOUNDS = (0.0, 255.0)
COUNT, EPS = 6, 8.0


class Trunk(nn.Module):
    """Convolution, batch norm and dropout, so that a crafting pass in training mode would leave traces."""

    def __init__(self, channels: int, outputs: int, axes: int, *, pooled: bool):
        super().__init__()
        convolution, norm = ((nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))[axes - 2]
        self.body = nn.Sequential(convolution(channels, 6, 3, padding=1), norm(6), nn.Tanh(), nn.Dropout(0.1))
        self.head = convolution(6, outputs, 3, padding=1)
        self.pooled = pooled

    def forward(self, images):
        maps = 4 * self.head(self.body(images / 127.5 - 1))
        return maps.flatten(2).mean(2) if self.pooled else maps


class Detector(nn.Module):
    """One candidate in every cell of two by two pixels."""

    def __init__(self):
        super().__init__()
        self.trunk = Trunk(3, 6, 2, pooled=False)

    def forward(self, images):
        cells = nn.functional.avg_pool2d(self.trunk(images), 2)
        rows, columns = cells.shape[2:]
        cells = cells.flatten(2).transpose(1, 2)
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        centre = torch.stack([(x.flatten() + 0.5) / columns, (y.flatten() + 0.5) / rows], 1).to(cells)
        boxes = torch.cat([centre - 0.15, centre + 0.15], 1) + 0.02 * cells[..., 2:].tanh()
        return Candidates(cells[..., :2], boxes)


@dataclass(frozen=True, eq=False)
class Scene:
    """A module with images and targets, some right and some wrong."""

    task: Task
    module: nn.Module
    images: torch.Tensor
    targets: Tree

    def batch(self, rows: list[int] | None = None) -> Batch:
        """A fresh batch; images may change in their left half only, in whole steps."""
        rows = list(range(len(self.images))) if rows is None else rows
        images = self.images[rows]
        region = torch.zeros(len(rows), 1, *images.shape[2:], dtype=torch.bool)
        region[..., : images.shape[-1] // 2] = True
        ones = torch.ones(len(rows), dtype=torch.float64)
        targets = mapped(lambda part: part[rows], self.targets)
        return Batch(images.clone(), targets, Limits(region, ones, 0 * ones), Streams([101 + row for row in rows]))

    def situation(self, threat=None) -> Situation:
        """Crafting and training with the same module."""
        threat = threat or Confined(EPS, lattice=True, region="left half")
        victim = Victim(self.module, BOUNDS)
        return Situation(victim, self.task, threat, default_loss(self.task), self.module)


def _built(make: Callable[[], nn.Module], axes: int = 2, channels: int = 3) -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = make().double()
        images = torch.randint(0, 256, (COUNT, channels, *[8 if axes == 2 else 6] * axes)).double()
        images[0], images[1] = images[0].clamp(max=3), images[1].clamp(min=252)
        with torch.no_grad():
            module(images)
    return module, images


def _classes(classes: int, width: int, head) -> Scene:
    module, images = _built(lambda: Trunk(3, width, 2, pooled=True))
    return Scene(Classification(classes, head=head), module, images, torch.arange(COUNT) % classes)


def softmax() -> Scene:
    from palpate.tasks.heads import Softmax

    return _classes(3, 3, Softmax())


def one_logit() -> Scene:
    return _classes(2, 1, OneLogit())


def ordinal() -> Scene:
    return _classes(4, 3, Cumulative())


def findings() -> Scene:
    module, images = _built(lambda: Trunk(3, 3, 2, pooled=True))
    labels = torch.tensor([[1, 0, -1], [0, 0, 1], [1, 1, 0], [-1, 0, 0], [0, 1, 1], [1, -1, 0]])
    return Scene(MultiLabel(3), module, images, labels)


def masks() -> Scene:
    module, images = _built(lambda: Trunk(3, 3, 2, pooled=False))
    labels = torch.zeros(COUNT, 8, 8, dtype=torch.int64)
    labels[:, 2:6, 1:5], labels[:, 5:, 5:], labels[:, 0] = 1, 2, 255
    labels[5] = 0
    return Scene(Segmentation(2), module, images, Masks(labels))


def volumes() -> Scene:
    module, images = _built(lambda: Trunk(1, 1, 3, pooled=False), 3, 1)
    labels = torch.zeros(COUNT, 6, 6, 6, dtype=torch.int64)
    labels[:, 1:5, 2:5, 1:4] = 1
    return Scene(Segmentation(1), module, images, Masks(labels))


def overlapping() -> Scene:
    module, images = _built(lambda: Trunk(3, 2, 2, pooled=False))
    labels = torch.zeros(COUNT, 2, 8, 8, dtype=torch.int64)
    labels[:, 0, 1:5, 1:5], labels[:, 1, 3:7, 2:6], labels[:, :, 7] = 1, 1, 255
    return Scene(Segmentation(2, exclusive=False), module, images, Masks(labels))


def boxes() -> Scene:
    module, images = _built(Detector)
    places = torch.tensor([[0.1, 0.1, 0.45, 0.4], [0.5, 0.5, 0.9, 0.85]], dtype=torch.float64)
    labels = torch.tensor([[0, 1], [1, 0], [0, -1], [1, 1], [0, 0], [1, -1]])
    return Scene(Detection(2), module, images, Boxes(places.expand(COUNT, 2, 4).clone(), labels))


SCENES: dict[str, Callable[[], Scene]] = {
    make.__name__: make for make in (softmax, one_logit, ordinal, findings, masks, volumes, overlapping, boxes)
}
