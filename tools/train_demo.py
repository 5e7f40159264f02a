"""Make the weights of one of the demo's models: `python tools/train_demo.py TASK`, some minutes on two cores.

Draws digital phantoms, trains a small network on them without any defence (no adversarial training: the demo must
show what ordinary networks do), writes `src/palpate/models/demo/weights/*_demo.safetensors`, loads what was written and
prints how it does on fresh phantoms, which were never trained on.

TASK is `classification` (grades of fundus phantoms), `segmentation` (lungs and lesions of thorax phantoms)
or `detection` (artefacts of endoscopy phantoms).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import load_file, save_file
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from torch.nn import functional

from palpate.annotations import Boxes
from palpate.data.phantoms import endoscopy_set, fundus_set, thorax_set
from palpate.data.phantoms.folder import OFFSET, labelled
from palpate.models.demo import endoscopy as demo_endoscopy
from palpate.models.demo import fundus as demo
from palpate.models.demo import thorax as demo_thorax
from palpate.models.detectors import centre_loss
from palpate.seeds import derive
from palpate.tasks.boxes import suppressed

MODELS = Path(__file__).resolve().parents[1] / "src/palpate/models/demo"
CHUNK = 250
"""Phantoms drawn under one derived seed."""

Sample = tuple[torch.Tensor, ...]


@dataclass(frozen=True)
class Recipe:
    """How one network is made: its layers, its training images, and how it is scored."""

    module: Any
    phantoms: Callable[..., tuple[Any, ...]]
    ready: Callable[[tuple[Any, ...]], Sample]
    loss: Callable[[torch.nn.Module, Sample, torch.Generator], torch.Tensor]
    report: Callable[[torch.nn.Module, Sample], None]
    count: int
    epochs: int
    batch: int
    rate: float
    fresh: int


def draw(recipe: Recipe, name: str, seed: int, count: int, workers: int) -> Sample:
    """`count` phantoms as tensors, images first."""
    chunk = min(CHUNK, count)
    seeds = [derive(seed, name, start) for start in range(0, count, CHUNK)]
    with ProcessPoolExecutor(workers) as pool:
        parts = list(pool.map(partial(recipe.phantoms, chunk, size=recipe.module.SIZE), seeds))
    columns = zip(*parts, strict=True)
    # Boxes are lists of one array per image; everything else is an array.
    return recipe.ready(tuple([*chain(*c)] if isinstance(c[0], list) else np.concatenate(c) for c in columns))


def normalised(module: Any, images: torch.Tensor) -> torch.Tensor:
    """The input of a demo's network, from stored values."""
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (module.MEAN, module.STD))
    return (images - mean) / std


def noisy(images: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """The images with noise, whose deviation is up to `most` stored values and differs per image."""
    level = most * torch.rand((len(images), 1, 1, 1), generator=generator)
    return images + level * torch.randn(images.shape, generator=generator)


def train(recipe: Recipe, sample: Sample, options: argparse.Namespace) -> torch.nn.Module:
    """A trained network: AdamW, one cycle of the learning rate."""
    torch.manual_seed(derive(options.seed, "weights"))
    generator = torch.Generator().manual_seed(derive(options.seed, "batches"))
    network = recipe.module.build().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.02)
    steps = len(sample[0]) // recipe.batch
    total_steps = recipe.epochs * steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=total_steps, pct_start=0.25)
    for epoch in range(recipe.epochs):
        total, begun = 0.0, time.perf_counter()
        order = torch.randperm(len(sample[0]), generator=generator)
        for rows in order[: steps * recipe.batch].view(steps, recipe.batch):
            loss = recipe.loss(network, tuple(part[rows] for part in sample), generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        seconds = time.perf_counter() - begun
        print(f"epoch {epoch + 1:2d} of {recipe.epochs}: loss {total / steps:.3f}, {seconds:.0f} s", flush=True)
    return network.eval()


def save(network: torch.nn.Module, path: Path) -> None:
    """Write the weights as float16; counters of batch norm, which are not used in eval mode, stay integers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = network.state_dict().items()
    save_file(
        {name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in state}, path
    )
    print(f"wrote {path}: {path.stat().st_size / 1000:.0f} kB")


# -- classification -----------------------------------------------------------------------------------------------


def fundus_ready(drawn: tuple[Any, ...]) -> Sample:
    """Stored values (count, 3, size, size), uint8, and grades."""
    images, grades = (torch.from_numpy(column) for column in drawn)
    return images.permute(0, 3, 1, 2), grades


def fundus_loss(network: torch.nn.Module, sample: Sample, generator: torch.Generator) -> torch.Tensor:
    """Cross-entropy on images mirrored, turned by quarters and noisy: lesions mean the same everywhere."""
    images, grades = sample
    quarters, mirror = torch.randint(0, 4, (2,), generator=generator).tolist()
    images = torch.rot90(images, quarters, (2, 3))
    images = images.flip(3) if mirror % 2 else images
    return functional.cross_entropy(network(normalised(demo, noisy(images, 15.0, generator))), grades)


def fundus_report(network: torch.nn.Module, sample: Sample) -> None:
    """Print accuracy, quadratic weighted kappa and the confusion of grades."""
    images, grades = sample
    said = torch.cat([network(normalised(demo, part)).argmax(1) for part in images.split(100)])
    print(f"accuracy {(said == grades).float().mean():.3f} on {len(grades)} fresh phantoms")
    print(f"quadratic weighted kappa {cohen_kappa_score(grades, said, weights='quadratic'):.3f}")
    print("confusion, rows true grade, columns said:", confusion_matrix(grades, said), sep="\n")


# -- segmentation -------------------------------------------------------------------------------------------------


def thorax_ready(drawn: tuple[Any, ...]) -> Sample:
    """Stored values (count, 1, size, size), int16, Hounsfield units + 1024, and labels (count, size, size)."""
    images, lungs, lesions = drawn
    return torch.from_numpy(images + OFFSET)[:, None], torch.from_numpy(labelled(lungs, lesions)).long()


def thorax_loss(network: torch.nn.Module, sample: Sample, generator: torch.Generator) -> torch.Tensor:
    """Dice and cross-entropy on slices that are shifted and noisy; never mirrored, since sides have names."""
    images, lungs = sample
    down, right = torch.randint(-6, 7, (2,), generator=generator).tolist()
    images, lungs = images.roll((down, right), (2, 3)), lungs.roll((down, right), (1, 2))
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    value: torch.Tensor = loss(network(normalised(demo_thorax, noisy(images, 20.0, generator))), lungs[:, None])
    return value


def thorax_report(network: torch.nn.Module, sample: Sample) -> None:
    """Print the Dice of each structure over the images that have it."""
    images, lungs = sample
    said = torch.cat([network(normalised(demo_thorax, part)).argmax(1) for part in images.split(50)])
    for label, name in enumerate(demo_thorax.STRUCTURES, 1):
        found, true = said == label, lungs == label
        dice = 2 * (found & true).sum((1, 2)) / (found.sum((1, 2)) + true.sum((1, 2))).clamp(min=1)
        dice = dice[true.any(2).any(1)]
        low = dice.quantile(0.1)
        print(f"{name}: Dice {dice.mean():.3f}, lowest tenth below {low:.3f}, on {len(dice)} fresh phantoms")


# -- detection ----------------------------------------------------------------------------------------------------


def endoscopy_ready(drawn: tuple[Any, ...]) -> Sample:
    """Stored values (count, 3, size, size), uint8; boxes (count, M, 4) as fractions and labels (count, M), padded."""
    images, boxes, labels = drawn
    most = max(map(len, labels))
    corners, names = torch.zeros(len(images), most, 4), torch.full((len(images), most), -1)
    for i, (mine, said) in enumerate(zip(boxes, labels, strict=True)):
        corners[i, : len(mine)] = torch.from_numpy(mine) / images.shape[1]
        names[i, : len(mine)] = torch.from_numpy(said)
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), corners, names


def endoscopy_loss(network: Any, sample: Sample, generator: torch.Generator) -> torch.Tensor:
    """The detector's own loss on images that are mirrored and noisy."""
    images, boxes, labels = sample
    for axis, mirror in enumerate(torch.randint(0, 2, (2,), generator=generator).tolist()):
        if mirror:
            images, boxes = images.flip(3 - axis), boxes.clone()
            boxes[..., axis], boxes[..., 2 + axis] = 1 - boxes[..., 2 + axis], 1 - boxes[..., axis].clone()
    candidates = network(normalised(demo_endoscopy, noisy(images, 8.0, generator)))
    return centre_loss(candidates, Boxes(boxes, labels), network.points(*images.shape[-2:]))


def endoscopy_report(network: torch.nn.Module, sample: Sample) -> None:
    """Print average precision and, at the confidence of the demo, recall and false positives."""
    images, boxes, labels = sample
    truth, found = COCO(), []
    truth.dataset = {
        "images": [{"id": i} for i in range(len(images))],
        "categories": [{"id": k, "name": name} for k, name in enumerate(demo_endoscopy.CLASSES)],
        "annotations": [
            annotation(i, box, int(label))
            for i in range(len(images))
            for box, label in zip(boxes[i], labels[i], strict=True)
            if label >= 0
        ],
    }
    for number, one in enumerate(truth.dataset["annotations"], 1):
        one["id"] = number
    truth.createIndex()
    for i, image in enumerate(images):
        logits, places = network(normalised(demo_endoscopy, image[None].float()))
        confidence, said = logits.sigmoid().max(2)
        order = confidence[0].argsort(descending=True)[:200]
        dropped = suppressed(places[:, order], said[:, order], 0.5)[0]
        for j in order[~dropped].tolist():
            found.append(annotation(i, places[0, j], int(said[0, j])) | {"score": float(confidence[0, j])})
    judge = COCOeval(truth, truth.loadRes(found), "bbox")
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, 2]
    print(f"on {len(images)} fresh phantoms: mAP@0.5 {precision[0].mean():.3f}, mAP@0.5:0.95 {precision.mean():.3f}")
    for k, name in enumerate(demo_endoscopy.CLASSES):
        print(f"{name}: AP@0.5 {precision[0, :, k].mean():.3f}")
    hits = misses = false = 0
    for one in judge.evalImgs[: len(truth.cats) * 4 * len(images)]:
        if one is None or one["aRng"] != judge.params.areaRng[0]:
            continue
        sure = np.array(one["dtScores"]) >= demo_endoscopy.CONFIDENCE
        matched = one["dtMatches"][0] > 0
        hits += int((sure & matched).sum())
        false += int((sure & ~matched).sum())
        misses += len(one["gtIds"]) - int((sure & matched).sum())
    print(
        f"at confidence {demo_endoscopy.CONFIDENCE}: recall {hits / (hits + misses):.3f}, "
        f"{false / len(images):.2f} false per image"
    )


def annotation(image: int, box: torch.Tensor, label: int) -> dict[str, Any]:
    """A box in the form of pycocotools, in pixels."""
    left, top, right, bottom = (box * demo_endoscopy.SIZE).tolist()
    area = (right - left) * (bottom - top)
    corner = [left, top, right - left, bottom - top]
    return {"image_id": image, "category_id": label, "bbox": corner, "area": area, "iscrowd": 0}


RECIPES = {
    "classification": Recipe(demo, fundus_set, fundus_ready, fundus_loss, fundus_report, 4000, 14, 50, 6e-3, 1000),
    "segmentation": Recipe(demo_thorax, thorax_set, thorax_ready, thorax_loss, thorax_report, 1500, 12, 15, 5e-3, 250),
    "detection": Recipe(
        demo_endoscopy, endoscopy_set, endoscopy_ready, endoscopy_loss, endoscopy_report, 2000, 16, 20, 6e-3, 250
    ),
}


def main() -> int:
    """Train, save, load what was saved and report on fresh phantoms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=RECIPES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=MODELS, help="folder to write weights/ into")
    options = parser.parse_args()
    recipe = RECIPES[options.task]
    torch.set_num_threads(options.threads)
    begun = time.perf_counter()
    sample = draw(recipe, "train", options.seed, recipe.count, options.threads)
    print(f"drew {len(sample[0])} phantoms in {time.perf_counter() - begun:.0f} s", flush=True)
    some = sample[0][:: max(len(sample[0]) // 500, 1)].float()
    print(f"stored values: mean {some.mean((0, 2, 3)).tolist()}, deviation {some.std((0, 2, 3)).tolist()}")
    written = options.out / recipe.module.WEIGHTS
    save(train(recipe, sample, options), written)
    network = recipe.module.build()
    network.load_state_dict(load_file(written))
    with torch.inference_mode():
        recipe.report(network.eval(), draw(recipe, "fresh", options.seed, recipe.fresh, options.threads))
    print(f"{time.perf_counter() - begun:.0f} s in all")
    return 0


if __name__ == "__main__":
    sys.exit(main())
