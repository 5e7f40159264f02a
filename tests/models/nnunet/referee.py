"""The decisions of nnU-Net's own `nnUNetPredictor` for the small cases.

python -m tests.models.nnunet.referee     # writes decisions.json; needs nnunetv2
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.models.nnunet.cases import CASES, Case

RECORDED = Path(__file__).with_name("decisions.json")


def refereed(case: Case) -> np.ndarray[Any, Any]:
    """Masks of `nnUNetPredictor`, in the form of `Case.decided`."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    predictor = nnUNetPredictor(
        tile_step_size=case.step, use_mirroring=case.mirror, device=torch.device("cpu"), allow_tqdm=False
    )
    plans = PlansManager(case.plans)
    predictor.manual_initialization(
        case.networks[0],
        plans,
        plans.get_configuration("test"),
        [network.state_dict() for network in case.networks],
        case.dataset,
        "nnUNetTrainer",
        case.mirrors,
    )
    picture = case.reader == "NaturalImage2DIO"
    image = case.image.numpy()
    if picture:
        image, spacing = image[:, None], [999, 1, 1]
    else:
        image, spacing = np.ascontiguousarray(image.transpose(0, 3, 2, 1)), list(case.of[::-1])
    found = predictor.predict_single_npy_array(image, {"spacing": spacing})
    return as_decided(case, found)


def as_decided(case: Case, found: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """nnU-Net's mask on the axes of the file; of regions one mask each, by the values that they hold."""
    mask = found[0] if case.reader == "NaturalImage2DIO" else found.transpose(2, 1, 0)
    if case.order is None:
        return mask.astype(np.uint8)
    regions = [held for name, held in case.labels.items() if name not in ("background", "ignore")]
    return np.stack([np.isin(mask, held) for held in regions]).astype(np.uint8)


def digest(mask: np.ndarray[Any, Any]) -> str:
    """Of a mask and its shape."""
    return hashlib.sha256(str(mask.shape).encode() + np.ascontiguousarray(mask).tobytes()).hexdigest()


if __name__ == "__main__":
    decisions = {name: digest(refereed(case)) for name, case in CASES.items()}
    RECORDED.write_text(json.dumps(decisions, indent=2) + "\n")
