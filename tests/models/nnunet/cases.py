"""Small nnU-Nets and images of every kind, for palpate and for `nnUNetPredictor` alike.

Their networks multiply and add one number after the other, so that every processor computes the same bits: the recorded
decisions hold everywhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from palpate.models.nnunet.folder import read_trained
from palpate.models.nnunet.network import Folds, Told
from palpate.models.nnunet.pipeline import NnUNet, pipeline_of

CLASS = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
CT = {"mean": 40.0, "std": 120.0, "percentile_00_5": -200.0, "percentile_99_5": 300.0}


class Sums(nn.Module):
    """Logits (B, K, *spatial) from a voxel, its square and one neighbour, which mirroring replaces by the other."""

    def __init__(self, channels: int, heads: int, seed: int = 0):
        super().__init__()
        numbers = torch.randn(3, heads, channels, generator=torch.Generator().manual_seed(seed))
        self.plain, self.square, self.beside = (nn.Parameter(one) for one in numbers)

    def forward(self, images: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (images.ndim - 2))
        total = torch.zeros(1)
        for index in range(images.shape[1]):
            channel = images[:, index : index + 1]
            total = total + self.plain[:, index].reshape(shape) * channel
            total = total + self.square[:, index].reshape(shape) * (channel * channel)
            total = total + self.beside[:, index].reshape(shape) * channel.roll((1, 1), dims=(2, -1))
        return total


@dataclass(frozen=True)
class Case:
    """A configuration, its labels and one image.

    Attributes:
        size: of the image along the axes of its file (x, y, z), or height and width of a picture.
        of: its spacing along the same axes.
        patch: of the network, in nnU-Net's order.
        spacing: of the plan.
        schemes: normalisation of each channel.
        masked: whether each channel is normalised inside of the mask.
        mirrors: axes that are mirrored.
        transpose: `transpose_forward`.
        labels: of `dataset.json`.
        order: `regions_class_order`.
        folds: number of folds.
        zeros: whether the image has a background of zeros.
        reader: class that reads its images.
        more: further keys of the configuration.
        mirror: whether the predictor mirrors at all.
        step: how far apart windows are.
    """

    size: tuple[int, ...] = (13, 15, 11)
    of: tuple[float, ...] = (1.0, 1.0, 1.0)
    patch: tuple[int, ...] = (8, 8, 8)
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
    schemes: tuple[str, ...] = ("ZScoreNormalization",)
    masked: tuple[bool, ...] = (False,)
    mirrors: tuple[int, ...] | None = (0, 1, 2)
    transpose: tuple[int, ...] = (0, 1, 2)
    labels: dict[str, Any] = field(default_factory=lambda: {"background": 0, "anterior": 1, "posterior": 2})
    order: tuple[int, ...] | None = None
    folds: int = 1
    zeros: bool = False
    reader: str = "SimpleITKIO"
    more: dict[str, Any] = field(default_factory=dict)
    mirror: bool = True
    step: float = 0.5

    @property
    def heads(self) -> int:
        structures = len([name for name in self.labels if name not in ("background", "ignore")])
        return structures if self.order else structures + 1

    @property
    def plans(self) -> dict[str, Any]:
        """Its `plans.json`."""
        kwargs = {"is_seg": False, "order_z": 0, "force_separate_z": None}
        way = "resample_data_or_seg_to_shape"
        configuration = {
            "data_identifier": "nnUNetPlans_test",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": list(self.patch),
            "spacing": list(self.spacing),
            "normalization_schemes": list(self.schemes),
            "use_mask_for_norm": list(self.masked),
            "resampling_fn_data": way,
            "resampling_fn_seg": way,
            "resampling_fn_probabilities": way,
            "resampling_fn_data_kwargs": {**kwargs, "order": 3},
            "resampling_fn_seg_kwargs": {**kwargs, "is_seg": True, "order": 1},
            "resampling_fn_probabilities_kwargs": {**kwargs, "order": 1},
            "architecture": {"network_class_name": CLASS, "arch_kwargs": {}, "_kw_requires_import": []},
            **self.more,
        }
        return {
            "dataset_name": "Dataset001_Test",
            "plans_name": "nnUNetPlans",
            "transpose_forward": list(self.transpose),
            "transpose_backward": [int(axis) for axis in np.argsort(self.transpose)],
            "image_reader_writer": self.reader,
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {str(index): CT for index in range(len(self.schemes))},
            "configurations": {"test": configuration},
        }

    @property
    def dataset(self) -> dict[str, Any]:
        """Its `dataset.json`."""
        names = {str(index): f"channel{index}" for index in range(len(self.schemes))}
        said: dict[str, Any] = {"channel_names": names, "labels": self.labels, "numTraining": 1}
        said["file_ending"] = ".png" if self.reader == "NaturalImage2DIO" else ".nii.gz"
        return said if self.order is None else {**said, "regions_class_order": list(self.order)}

    @property
    def image(self) -> Tensor:
        """Stored values (C, *size): a smooth blob and noise, each channel another."""
        noise = torch.Generator().manual_seed(sum(self.size))
        axes = [torch.linspace(-1, 1, n) for n in self.size]
        far = sum((axis**2).reshape([-1 if i == j else 1 for j in range(len(axes))]) for i, axis in enumerate(axes))
        assert isinstance(far, Tensor)
        values = torch.randint(-60, 60, (len(self.schemes), *self.size), generator=noise) + 180 * (1 - far)
        values = values.round()
        if self.reader == "NaturalImage2DIO":
            values = values.clamp(0, 255)
        if self.zeros:
            values[:, far > 0.9] = 0
            values[:, self.size[0] // 2, self.size[1] // 2] = 0  # a hole
        return values.float()

    @property
    def networks(self) -> list[Sums]:
        """One per fold."""
        return [Sums(len(self.schemes), self.heads, seed) for seed in range(self.folds)]

    def written(self, folder: Path) -> Path:
        """Its trained folder, with checkpoints as nnU-Net writes them."""
        folder.mkdir(parents=True)
        (folder / "plans.json").write_text(json.dumps(self.plans))
        (folder / "dataset.json").write_text(json.dumps(self.dataset))
        for fold, network in enumerate(self.networks):
            held = {
                "network_weights": network.state_dict(),
                "optimizer_state": {"state": {}, "param_groups": [{"lr": np.float64(0.01)}]},
                "logging": {"ema_fg_dice": [np.float32(0.5)]},
                "_best_ema": np.float64(0.5),
                "current_epoch": 1,
                "init_args": {"configuration": "test", "fold": fold, "device": torch.device("cpu")},
                "trainer_name": "nnUNetTrainer",
                "inference_allowed_mirroring_axes": self.mirrors,
            }
            (folder / f"fold_{fold}").mkdir()
            torch.save(held, folder / f"fold_{fold}" / "checkpoint_final.pth")
        return folder

    def pipeline(self, folder: Path) -> NnUNet:
        """Palpate's pipeline for its image."""
        told = Told("test", self.mirrors or ())
        return pipeline_of(read_trained(folder), told, mirror=self.mirror, step=self.step).at(self.of)

    def decided(self, folder: Path) -> np.ndarray[Any, Any]:
        """Palpate's masks: labels (*size), or 0/1 for each region (R, *size)."""
        with torch.no_grad():
            logits = self.pipeline(folder)(self.image[None], Folds(list(self.networks)))[0]
        return (logits > 0).numpy().astype(np.uint8) if self.order else logits.argmax(0).numpy().astype(np.uint8)


CASES = {
    "mirrored windows": Case(),
    "without mirroring": Case(mirror=False),
    "windows far apart": Case(size=(17, 15, 21), of=(0.9, 1.0, 1.1), step=0.85),
    "windows close together, without mirroring": Case(patch=(8, 6), spacing=(1.2, 0.9), mirror=False, step=0.3),
    "smaller than the patch": Case(size=(6, 15, 7), mirrors=(1,)),
    "resampled": Case(of=(0.7, 1.3, 1.1)),
    "slices apart": Case(
        size=(14, 13, 7), of=(0.8, 0.8, 5.0), patch=(4, 8, 8), spacing=(4.0, 1.1, 1.1), schemes=("CTNormalization",)
    ),
    "cropped and masked": Case(
        of=(0.9, 1.0, 1.2),
        schemes=("ZScoreNormalization", "RescaleTo01Normalization"),
        masked=(True, False),
        zeros=True,
    ),
    "transposed": Case(size=(9, 15, 11), of=(3.1, 0.9, 0.8), transpose=(2, 0, 1), patch=(4, 8, 8), zeros=True),
    "2D": Case(patch=(8, 6), spacing=(1.2, 0.9), of=(1.0, 1.1, 4.0), mirrors=(0, 1)),
    "regions": Case(
        labels={"background": 0, "whole": [1, 2, 3], "core": [2, 3], "active": [3]}, order=(1, 2, 3), zeros=True
    ),
    "regions painted over": Case(labels={"background": 0, "a": [1, 3], "b": [2]}, order=(1, 2), of=(1.0, 1.0, 2.0)),
    "two folds and an ignored label": Case(
        labels={"background": 0, "ignore": 3, "posterior": 2, "anterior": 1}, folds=2, mirrors=None
    ),
    "picture": Case(
        size=(21, 18),
        patch=(16, 16),
        spacing=(1.0, 1.0),
        schemes=("RGBTo01Normalization",) * 3,
        masked=(False,) * 3,
        mirrors=(0, 1),
        reader="NaturalImage2DIO",
    ),
}
