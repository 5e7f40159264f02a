"""Three tiny bundles in the form of MONAI's zoo, with weights: segmentation, detection, classification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

PREPARED = {"_target_": "LoadImaged", "keys": "@image_key"}, {"_target_": "EnsureChannelFirstd", "keys": "@image_key"}
HEAD = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "image_key": "image",
    "ckpt_dir": "$@bundle_root + '/models'",
    "dataset_dir": "/workspace/data",
    "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network": "$@network_def.to(@device)",
}
"""What every configuration of the zoo begins with; none of it is run."""
RETINANET = {
    "spatial_size": [64, 64],
    "spatial_dims": "$len(@spatial_size)",
    "anchor_generator": {
        "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
        "feature_map_scales": [1, 2],
        "base_anchor_shapes": [[12, 12]],
    },
    "backbone": "$monai.networks.nets.resnet.resnet10(spatial_dims=@spatial_dims,n_input_channels=1)",
    "feature_extractor": "$monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor("
    "@backbone,@spatial_dims,False,[1],None)",
    "network_def": {
        "_target_": "RetinaNet",
        "spatial_dims": "@spatial_dims",
        "num_classes": 1,
        "num_anchors": 1,
        "feature_extractor": "@feature_extractor",
        "size_divisible": [16, 16],
    },
    "detector": {
        "_target_": "RetinaNetDetector",
        "network": "@network",
        "anchor_generator": "@anchor_generator",
        "debug": False,
    },
    "detector_ops": ["$@detector.set_target_keys(box_key='box', label_key='label')"],
}
UNET = {"spatial_dims": 3, "in_channels": 1, "channels": [4, 8], "strides": [2]}
DENSENET = {
    "spatial_dims": 2,
    "in_channels": 1,
    "init_features": 4,
    "growth_rate": 2,
    "block_config": [1],
    "bn_size": 2,
}


def window(low: float, high: float, **more: Any) -> dict[str, Any]:
    limits = {"a_min": low, "a_max": high, "b_min": 0.0, "b_max": 1.0, "clip": True}
    return {"_target_": "ScaleIntensityRanged", "keys": "@image_key", **limits, **more}


def write(folder: Path, transforms: list[dict[str, Any]], described: dict[str, Any] | None, **more: Any) -> Path:
    """A bundle without weights; `described` is network_data_format."""
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    inner = [*PREPARED, *transforms, {"_target_": "EnsureTyped", "keys": "@image_key", "device": "@device"}]
    held = {**HEAD, "preprocessing": {"_target_": "Compose", "transforms": inner}, **more}
    (folder / "configs/inference.json").write_text(json.dumps(held, indent=4))
    metadata = {"version": "0.1.0", "monai_version": "1.4.0", "required_packages_version": {"nibabel": "5.2.1"}}
    if described is not None:
        metadata["network_data_format"] = described
    (folder / "configs/metadata.json").write_text(json.dumps(metadata))
    return folder


def described(channels: int, *names: str) -> dict[str, Any]:
    return {
        "inputs": {
            "image": {"type": "image", "num_channels": channels, "spatial_shape": ["*", "*"], "value_range": [0, 1]}
        },
        "outputs": {"pred": {"channel_def": {str(number): name for number, name in enumerate(names)}}},
    }


def segmentation(folder: Path, images: torch.Tensor, masks: torch.Tensor) -> Path:
    """A U-Net for volumes (N, 1, *spatial) from 0 to 1, taught their masks (N, *spatial)."""
    from monai.networks.nets.unet import UNet

    turned = [
        {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "@image_key", "pixdim": "@pixdim", "mode": "bilinear"},
    ]
    write(
        folder, [*turned, window(60, 180)], described(1, "background", "cube"),
        pixdim="$[1.0, 1.0, 1.5] if @displayable_configs#highres else [2.0, 2.0, 3.0]",
        displayable_configs={"highres": True, "sw_overlap": 0.25},
        network_def={"_target_": "UNet", **UNET, "out_channels": "$len(@labels)"},
        labels={"background": 0, "cube": 1},
        inferer={
            "_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "sw_batch_size": 2,
            "overlap": "@displayable_configs#sw_overlap", "mode": "gaussian", "padding_mode": "replicate",
        },
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(**UNET, out_channels=2)
    teach(network, images, masks, 40)
    torch.save(network.state_dict(), folder / "models/model.pt")
    return folder


def classification(folder: Path, images: torch.Tensor, labels: torch.Tensor) -> Path:
    """A DenseNet for pictures (N, 1, H, W) from 0 to 1 as MONAI reads them: x first."""
    from monai.networks.nets.densenet import DenseNet

    write(
        folder, [window(0, 255, b_min=-1.0, clip=False)], described(1, "none", "mild", "severe"),
        num_classes=3, network_def={"_target_": "DenseNet", **DENSENET, "out_channels": "@num_classes"},
        inferer={"_target_": "SimpleInferer"},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DenseNet(**DENSENET, out_channels=3)
    teach(network, images.transpose(-1, -2) * 2 - 1, labels, 60)
    torch.save(network.state_dict(), folder / "models/model.pt")
    return folder


def detection(folder: Path) -> Path:
    """A RetinaNet with random weights."""
    from palpate.models.bundle import network_of, weighted

    write(folder, [window(0, 255)], described(1, "square"), inferer={"_target_": "SimpleInferer"}, **RETINANET)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = network_of(folder)
    torch.save(weighted(detector).state_dict(), folder / "models/model.pt")
    return folder


def teach(network: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimiser.step()
