"""Compare the rebuilt network with the Dice stated for it: `python examples/vessels/check.py`, after prepare.py.

Image by image as the audit evaluates it: cut to the field of view, resized to 512 x 512, divided by 255; the logits
resized to the image's own resolution; a vessel from a probability of 0.42 on; Dice inside the field of view.
Exits with 1 where a mean is further from the stated one than 0.005.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from palpate import Preprocess
from palpate.data.formats.images import read_image

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import model as example  # noqa: E402

import preparing  # noqa: E402
import training  # noqa: E402

STATED = {"DRIVE": 0.825, "CHASE_DB1": 0.726}
"""Mean Dice of the test images, as stated by the source of the weights."""
TOLERANCE = 0.005


def mean_dice(network: torch.nn.Module, rows: list[preparing.Row]) -> float:
    """Mean over the images of the Dice inside the field of view, in their own resolution."""
    prepare, found = Preprocess(size=example.SIZE, std=(255.0,)), []
    for row in rows:
        image = torch.tensor(read_image(HERE / "data" / row["file"])).float()[None]
        mask, inside = (torch.tensor(read_image(HERE / "data" / row[key])) > 127 for key in ("mask", "fov"))
        with torch.no_grad():
            logits = F.interpolate(network(prepare(image)), size=image.shape[2:], mode="bilinear")
        decided = logits[0] >= math.log(example.THRESHOLD / (1 - example.THRESHOLD))
        found.append(training.dice((decided & inside), (mask & inside)))
    return float(torch.cat(found).mean())


def main() -> int:
    """Print both means; the exit status is 1 if one is wrong."""
    network = example.build()
    network.load_state_dict(load_file(HERE / "weights" / "wnet.safetensors"))
    network.eval()
    off = False
    for dataset, stated in STATED.items():
        rows = preparing.rows_of(HERE / "data" / "labels.csv", dataset=dataset)
        found = mean_dice(network, rows)
        off = off or abs(found - stated) > TOLERANCE
        print(f"{dataset}: {len(rows)} images, mean Dice {found:.4f}, stated {stated}")
    return int(off)


if __name__ == "__main__":
    sys.exit(main())
