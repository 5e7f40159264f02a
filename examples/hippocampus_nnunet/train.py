"""Train a small nnU-Net without nnU-Net: `python examples/hippocampus_nnunet/train.py`, after prepare_raw.py.

It writes the folder that nnU-Net v2 would write: plans.json, dataset.json and fold_0/checkpoint_final.pth, for a plan
like nnU-Net's low resolution (2 mm, one patch of 20 x 28 x 20, z-score) with a quarter of its features. An ordinary
training without any defence; about one minute on one core. `nnUNetv2_predict` reads the folder too.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
import torch.nn.functional as F
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from monai.losses import DiceCELoss
from torch import Tensor, nn

from palpate.models.nnunet.resampling import Resampling, resampled_size

HERE = Path(__file__).resolve().parent
RAW = HERE / "data" / "nnUNet_raw" / "Dataset004_Hippocampus"
OUT = HERE / "data" / "nnUNet_results" / "Dataset004_Hippocampus" / "nnUNetTrainer__nnUNetPlans__3d_lowres"
PATCH, SPACING, FEATURES = (20, 28, 20), (2.0, 2.0, 2.0), (8, 16, 32)
EPOCHS, BATCH, RATE = 10, 2, 5e-3
FILES = (1.0, 1.0, 1.0)
"""Spacing of the volumes in mm."""
MIRRORS = (0, 2)
"""Not from front to back: the two structures differ mostly by that, and the training is short."""
SPLINES = "resample_data_or_seg_to_shape"
LAYERS = {
    "n_stages": len(FEATURES),
    "features_per_stage": list(FEATURES),
    "conv_op": "torch.nn.modules.conv.Conv3d",
    "kernel_sizes": [[3, 3, 3]] * len(FEATURES),
    "strides": [[1, 1, 1], *[[2, 2, 2]] * (len(FEATURES) - 1)],
    "n_conv_per_stage": [2] * len(FEATURES),
    "n_conv_per_stage_decoder": [2] * (len(FEATURES) - 1),
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
    "dropout_op": None,
    "dropout_op_kwargs": None,
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}


def resampling(order: int, *, labels: bool = False) -> dict[str, Any]:
    """Keyword arguments of nnU-Net's resampling."""
    return {"is_seg": labels, "order": order, "order_z": 0, "force_separate_z": None}


def plans() -> dict[str, Any]:
    """The plan, in the words of nnU-Net 2.8."""
    configuration = {
        "data_identifier": "nnUNetPlans_3d_lowres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": BATCH,
        "patch_size": list(PATCH),
        "median_image_size_in_voxels": [18.0, 25.0, 18.0],
        "spacing": list(SPACING),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": SPLINES,
        "resampling_fn_seg": SPLINES,
        "resampling_fn_probabilities": SPLINES,
        "resampling_fn_data_kwargs": resampling(3),
        "resampling_fn_seg_kwargs": resampling(1, labels=True),
        "resampling_fn_probabilities_kwargs": resampling(1),
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": LAYERS,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset004_Hippocampus",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [36, 50, 35],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"3d_lowres": configuration},
    }


def network() -> nn.Module:
    """The network of the plan, untrained."""
    return PlainConvUNet(
        **{**LAYERS, "conv_op": nn.Conv3d, "norm_op": nn.InstanceNorm3d, "nonlin": nn.LeakyReLU},
        input_channels=1,
        num_classes=3,
    )


def pairs() -> list[tuple[Tensor, Tensor]]:
    """Standardised volumes and labels (1, *PATCH), axes as nnU-Net reads them; all fit into one patch."""
    found = []
    for path in sorted((RAW / "imagesTr").glob("*.nii.gz")):
        image = np.asarray(nibabel.load(path).dataobj, np.float32).transpose(2, 1, 0)
        label = RAW / "labelsTr" / path.name.replace("_0000", "")
        mask = np.asarray(nibabel.load(label).dataobj, np.float32).transpose(2, 1, 0)
        image = (image - image.mean()) / image.std()
        size = resampled_size(image.shape, FILES, SPACING)
        coarse = Resampling(3)(torch.from_numpy(image)[None], size, FILES, SPACING)
        both = torch.cat([coarse, F.interpolate(torch.from_numpy(mask)[None, None], size, mode="nearest-exact")[0]])
        for axis, size in enumerate(PATCH, start=1):
            missing = max(size - both.shape[axis], 0)
            both = F.pad(both, [0, 0] * (3 - axis) + [missing // 2, missing - missing // 2])
            both = both.narrow(axis, (both.shape[axis] - size) // 2, size)
        found.append((both[:1], both[1:]))
    return found


def train(seed: int = 0) -> nn.Module:
    """The network after an ordinary training: mirrored volumes, changed contrast, Dice and cross-entropy."""
    torch.manual_seed(seed)
    held, made, loss = pairs(), network(), DiceCELoss(softmax=True, to_onehot_y=True, include_background=False)
    optimiser = torch.optim.AdamW(made.parameters(), lr=RATE)
    steps = EPOCHS * -(-len(held) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        begin, total = time.perf_counter(), 0.0
        for rows in torch.randperm(len(held)).split(BATCH):
            images, masks = (torch.stack([held[row][part] for row in rows.tolist()]) for part in (0, 1))
            axes = [axis + 2 for axis in MIRRORS if torch.rand(()) < 0.5]
            changed = images.flip(axes) * (0.8 + 0.4 * torch.rand(())) + 0.2 * torch.randn(())
            optimiser.zero_grad()
            value = loss(made(changed), masks.flip(axes))
            value.backward()
            optimiser.step()
            schedule.step()
            total += float(value.detach()) * len(rows)
        print(f"epoch {epoch + 1:2d}  loss {total / len(held):.3f}  {time.perf_counter() - begin:.0f} s", flush=True)
    return made.eval()


def main() -> None:
    """Train, and write the folder."""
    (OUT / "fold_0").mkdir(parents=True, exist_ok=True)
    (OUT / "plans.json").write_text(json.dumps(plans(), indent=2) + "\n")
    (OUT / "dataset.json").write_text((RAW / "dataset.json").read_text())
    held = {
        "network_weights": train().state_dict(),
        "init_args": {"configuration": "3d_lowres", "fold": 0},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": MIRRORS,
    }
    torch.save(held, OUT / "fold_0" / "checkpoint_final.pth")
    print(OUT)


if __name__ == "__main__":
    main()
