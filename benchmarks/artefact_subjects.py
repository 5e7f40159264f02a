"""The examples of the artefact search: small networks for real images, trained here in some minutes and kept.

Each is an ordinary training without any defence: flips (not for radiographs), contrast and brightness, AdamW, a
one-cycle rate. Images are resized; they stay in stored values from 0 to 255.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss
from monai.networks.nets import UNet, resnet18
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.measure import say
from palpate.annotations import Masks
from palpate.artefacts.artefact import Scene
from palpate.contracts import Task
from palpate.tasks.classification import Classification
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import Tree
from palpate.victim import Victim

CACHE = Path(__file__).resolve().parent / ".cache"
BATCH = 16
Part = tuple[Tensor, Tensor]
"""Images (N, C, H, W) in 0..255, and classes (N,) or labels of pixels (N, H, W)."""


class Normalised(nn.Module):
    """Stored values into the network."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Raw outputs."""
        outputs: Tensor = self.network((images - 127.5) / 63.0)
        return outputs


@dataclass(frozen=True)
class Subject:
    """An example.

    Attributes:
        name: its name in tables.
        modality: in the catalogue of artefacts.
        folder: below the folder of the real images.
        read: images and annotations of a split (`train`, `val`, `test`) of a folder.
        build: the network, without weights.
        task: what it is for.
        epochs: of training.
        flips: whether images are mirrored in training.
        hounsfield: grey values are read as a window of -1000 to 400 HU, with pixels of 2.5 mm.
    """

    name: str
    modality: str
    folder: str
    read: Callable[[Path, str], Part]
    build: Callable[[], nn.Module]
    task: Task
    epochs: int
    flips: bool = True
    hounsfield: bool = False

    @property
    def scene(self) -> Scene:
        """What artefacts know of the images."""
        return Scene((-1000.0, 400.0), (2.5, 2.5), "HU") if self.hounsfield else Scene((0.0, 255.0), (1.0, 1.0))

    def stored(self, images: Tensor) -> Tensor:
        """Grey values in the units of the scene."""
        return images / 255 * self.scene.extent + self.scene.bounds[0]

    def victim(self, data: Path) -> Victim:
        """The trained network behind what undoes `stored`."""
        low, extent = self.scene.bounds[0], self.scene.extent
        return Victim(self.trained(data), self.scene.bounds, preprocess=lambda images: (images - low) / extent * 255)

    @property
    def masks(self) -> bool:
        """Whether pixels are annotated."""
        return isinstance(self.task, Segmentation)

    def targets(self, annotated: Tensor) -> Tree:
        """Annotations as the task reads them."""
        return Masks(annotated) if self.masks else annotated

    def trained(self, data: Path) -> nn.Module:
        """The trained network, from the cache or trained now."""
        model = Normalised(self.build())
        path = CACHE / f"artefact_{self.name}.safetensors"
        if path.is_file():
            model.load_state_dict(load_file(path))
            return model.eval()
        say(f"Training the network of {self.name} (once; it is kept in benchmarks/.cache) ...")
        _fit(model, self, *self.read(data / self.folder, "train"))
        CACHE.mkdir(exist_ok=True)
        save_file(model.state_dict(), path)
        return model.eval()


def _fit(model: nn.Module, subject: Subject, images: Tensor, annotated: Tensor) -> None:
    random = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = max(1, len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=subject.epochs * steps)
    overlap = DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
    model.train()
    for _ in range(subject.epochs):
        for rows in torch.randperm(len(images), generator=random)[: steps * BATCH].split(BATCH):
            inputs, truth = _changed(images[rows], annotated[rows], subject.flips, random)
            outputs = model(inputs)
            loss = overlap(outputs, truth[:, None]) if subject.masks else F.cross_entropy(outputs, truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def _changed(images: Tensor, annotated: Tensor, flips: bool, random: torch.Generator) -> Part:
    """Mirrored along each axis with probability 1/2, contrast within 20 %, brightness within a tenth of the range."""
    for axis in (-1, -2) if flips else ():
        if float(torch.rand((), generator=random)) < 0.5:
            images = images.flip(axis)
            annotated = annotated.flip(axis) if annotated.ndim > 1 else annotated
    contrast, offset = torch.rand(2, len(images), 1, 1, 1, generator=random) - 0.5
    return (127.5 + (images - 127.5) * (1 + 0.4 * contrast) + 51 * offset).clamp(0, 255), annotated


def _rows(folder: Path, split: str) -> list[dict[str, str]]:
    with open(folder / "labels.csv", newline="") as handle:
        return [row for row in csv.DictReader(handle) if row["split"] == split]


def _image(path: Path, mode: str, size: int, drawn: bool = False) -> Tensor:
    """An image (C, size, size); what was drawn takes the nearest value."""
    with Image.open(path) as image:
        method = Image.Resampling.NEAREST if drawn else Image.Resampling.BILINEAR
        values = np.asarray(image.convert(mode).resize((size, size), method), np.float32)
    return torch.tensor(values).reshape(size, size, -1).movedim(-1, 0)


def _with_masks(mode: str, size: int) -> Callable[[Path, str], Part]:
    def read(folder: Path, split: str) -> Part:
        rows = _rows(folder, split)
        images = torch.stack([_image(folder / row["image"], mode, size) for row in rows])
        masks = torch.stack([_image(folder / row["mask"], "L", size, drawn=True)[0] for row in rows])
        return images, (masks > 127).long()

    return read


def _infection(folder: Path, split: str) -> Part:
    """The set has no validation split: its last ten training slices are that."""
    images, masks = _with_masks("L", 128)(folder, "test" if split == "test" else "train")
    return {"train": (images[:-10], masks[:-10]), "val": (images[-10:], masks[-10:]), "test": (images, masks)}[split]


def _grades(folder: Path, split: str) -> Part:
    rows = _rows(folder, split)
    images = torch.stack([_image(folder / row["file"], "RGB", 112) for row in rows])
    return images, torch.tensor([int(row["diagnosis"]) >= 2 for row in rows]).long()


def _pneumonia(folder: Path, split: str) -> Part:
    with np.load(folder / "pneumoniamnist.npz") as stored:
        images, labels = stored[f"{split}_images"], stored[f"{split}_labels"]
    return torch.tensor(images).float()[:, None], torch.tensor(labels).long()[:, 0]


def _hippocampus(folder: Path, split: str) -> Part:
    """Every third sagittal slice that shows the hippocampus, zero-padded to 48 x 64, on each volume's own scale."""
    images, masks = [], []
    for row in _rows(folder, split):
        volume, labels = (np.asarray(nibabel.load(folder / row[key]).dataobj) for key in ("image", "label"))
        scaled = np.clip(volume / np.percentile(volume, 99.9), 0, 1) * 255
        for place in np.flatnonzero((labels > 0).any((1, 2)))[1::3]:
            pair = [F.pad(torch.tensor(np.asarray(part[place], np.float32)), (0, 0, 0, 0)) for part in (scaled, labels)]
            pair = [_placed(part, (64, 48)) for part in pair]
            images.append(pair[0][None])
            masks.append(pair[1].long())
    return torch.stack(images), torch.stack(masks)


def _placed(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut or padded with zeros to a size, centred."""
    gaps = [wanted - given for wanted, given in zip(size, values.shape, strict=True)]
    return F.pad(values, (gaps[1] // 2, gaps[1] - gaps[1] // 2, gaps[0] // 2, gaps[0] - gaps[0] // 2))


def _unet(channels: int, classes: int, levels: tuple[int, ...] = (16, 32, 64, 128)) -> nn.Module:
    return UNet(2, channels, classes, levels, (2,) * (len(levels) - 1), num_res_units=1, norm="batch")


def _small() -> nn.Module:
    parts: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        parts += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 2))


def _resnet() -> nn.Module:
    return resnet18(spatial_dims=2, n_input_channels=3, num_classes=2, conv1_t_stride=2, widen_factor=0.5)


SUBJECTS = (
    Subject("pneumonia", "xray", "cls_cxr_pneumoniamnist_28", _pneumonia, _small, Classification(2), 8, flips=False),
    Subject("hippocampus", "mr", "seg3d_mr_hippocampus", _hippocampus, lambda: _unet(1, 3), Segmentation(2), 40),
    Subject("infection", "ct", "seg_ct_covid_infection", _infection, lambda: _unet(1, 2), Segmentation(1), 120,
            hounsfield=True),
    Subject("referable", "fundus", "cls_fundus_dr_aptos2019", _grades, _resnet, Classification(2), 8),
    Subject("polyps", "endoscopy", "seg_polyp_kvasir", _with_masks("RGB", 96), lambda: _unet(3, 2), Segmentation(1),
            30),
)  # fmt: skip
"""Real examples, the quickest first."""
