"""Shared by the examples with boxes: an ordinary training of a detector, and how well it detects.

Nothing here defends a network against attacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from palpate import Preprocess
from palpate.annotations import Boxes, Candidates
from palpate.data.formats.images import read_image
from palpate.measures.detection import DetectionReader
from palpate.metrics.detection import Matches
from palpate.models.detectors import CentreDetector, centre_loss
from palpate.tasks.detection import Detection
from preparing import CORNERS, rows_of
from training import fit

THRESHOLDS = tuple(step / 20 for step in range(2, 15))
"""Confidences among which the operating point is chosen, on the validation split."""
_SEEN = 0.4
"""Share of a box that must stay in the picture for it to stay annotated."""


def images_and_boxes(folder: Path, split: str, classes: tuple[str, ...]) -> tuple[Tensor, Boxes]:
    """Images (N, C, H, W) in stored values, and their boxes as fractions, of one split of a prepared folder."""
    files = [row["file"] for row in rows_of(folder / "images.csv", split=split)]
    images = torch.tensor(np.stack([read_image(folder / file) for file in files])).float()
    rows: dict[str, list[dict[str, str]]] = {file: [] for file in files}
    for row in rows_of(folder / "boxes.csv"):
        if row["image"] in rows:
            rows[row["image"]].append(row)
    most = max(map(len, rows.values()))
    boxes, labels = torch.zeros(len(files), most, 4), torch.full((len(files), most), -1)
    size = torch.tensor([images.shape[3], images.shape[2]] * 2)
    for index, own in enumerate(rows.values()):
        for place, row in enumerate(own):
            boxes[index, place] = (torch.tensor([float(row[key]) for key in CORNERS]) / size).clamp(0, 1)
            labels[index, place] = classes.index(row["label"])
    return images, Boxes(boxes, labels)


def augmented(images: Tensor, boxes: Boxes, generator: torch.Generator) -> tuple[Tensor, Boxes]:
    """Each image randomly flipped, scaled, shifted, lighter or darker, and tinted; boxes move exactly with it."""
    count = len(images)
    scale = torch.empty(count, 2).uniform_(0.75, 1.3, generator=generator)
    flip = 1 - 2.0 * torch.randint(0, 2, (count, 2), generator=generator)
    shift = torch.empty(count, 2).uniform_(-0.2, 0.2, generator=generator)
    # A pixel at v of the new image, from -1 to 1, shows what was at flip * v / scale + shift.
    theta = torch.cat([torch.diag_embed(flip / scale), shift[..., None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain = torch.empty(count, images.shape[1], 1, 1).uniform_(0.9, 1.1, generator=generator)
    light = torch.empty(count, 1, 1, 1).uniform_(-20, 20, generator=generator)
    corners = (
        (boxes.boxes.unflatten(2, (2, 2)) * 2 - 1 - shift[:, None, None]) * (flip * scale)[:, None, None] + 1
    ) / 2
    whole = torch.cat([corners.amin(2), corners.amax(2)], dim=2)
    cut = whole.clamp(0, 1)
    seen = _area(cut) > _SEEN * _area(whole)
    labels = boxes.labels.masked_fill(~seen, -1)
    return (moved * gain + light).clamp(0, 255), Boxes(cut * (labels >= 0)[..., None], labels)


def matches(
    network: CentreDetector, prepare: Preprocess, images: Tensor, boxes: Boxes, classes: tuple[str, ...]
) -> Matches:
    """All detections of the images, matched with what is annotated."""
    reader = DetectionReader(Detection(len(classes)), classes)
    with torch.no_grad():
        found = [one for part in images.split(20) for one in reader.found(network(prepare(part)))]
    return Matches.of(tuple(reader.truth(boxes)), tuple(found), np.ones(len(images), dtype=bool), len(classes))


def operating_point(matched: Matches) -> float:
    """The confidence with the highest F1 over all boxes."""
    every = np.ones((1, len(matched.among)))

    def f1(confidence: float) -> float:
        hits = float(matched.recall(confidence)(every)[0]) * matched.boxes
        false = float(matched.false_positives(confidence)(every)[0]) * len(matched.among)
        return 2 * hits / (hits + false + matched.boxes)

    return max(THRESHOLDS, key=f1)


def describe(matched: Matches, confidence: float, classes: tuple[str, ...]) -> str:
    """Average precision, recall and false positives per image, of all classes and of each."""
    every = np.ones((1, len(matched.among)))
    lines = [f"mAP@0.5:0.95 {matched.average_precision()(every)[0]:.3f}, at confidence {confidence:g}:"]
    for name, label in [("all", None), *((name, index) for index, name in enumerate(classes))]:
        precision = matched.average_precision((0.5,), label)(every)[0]
        recall = matched.recall(confidence, label=label)(every)[0]
        false = matched.false_positives(confidence, label=label)(every)[0]
        lines.append(f"{name}: AP@0.5 {precision:.3f}, recall {recall:.3f}, false positives per image {false:.2f}")
    return "\n".join(lines)


def train(
    network: CentreDetector,
    prepare: Preprocess,
    folder: Path,
    classes: tuple[str, ...],
    *,
    epochs: int,
    batch: int,
    rate: float,
    seed: int,
    per_box: bool = False,
) -> CentreDetector:
    """The network of the best validation epoch by mAP@0.5; says how it does on the test split.

    `per_box`: every box weighs the same in the loss, whatever its size (`palpate.models.detectors.centre_loss`).
    """
    images, boxes = images_and_boxes(folder, "train", classes)
    validation = images_and_boxes(folder, "val", classes)
    points = network.points(*images.shape[2:])
    generator, steps = torch.Generator().manual_seed(seed), len(images) // batch

    def batches() -> Iterator[tuple[Tensor, Boxes]]:
        for rows in torch.randperm(len(images), generator=generator)[: steps * batch].split(batch):
            shown, marked = augmented(images[rows], Boxes(boxes.boxes[rows], boxes.labels[rows]), generator)
            yield prepare(shown).contiguous(memory_format=torch.channels_last), marked

    def loss(candidates: Candidates, marked: Boxes) -> Tensor:
        return centre_loss(candidates, marked, points, per_box=per_box)

    def validate(trained: CentreDetector) -> float:
        matched = matches(trained, prepare, *validation, classes)
        return float(matched.average_precision((0.5,))(np.ones((1, len(matched.among))))[0])

    network = network.to(memory_format=torch.channels_last)
    fit(network, batches, loss, validate, epochs, steps, rate, name="mAP@0.5")
    network = network.to(memory_format=torch.contiguous_format)
    confidence = operating_point(matches(network, prepare, *validation, classes))
    tested = matches(network, prepare, *images_and_boxes(folder, "test", classes), classes)
    print(f"test: {describe(tested, confidence, classes)}")
    return network


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
