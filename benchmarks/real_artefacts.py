"""Simulated artefacts of endoscopy beside real ones: `python -m benchmarks.real_artefacts --data DIR`.

Real ones are the boxes of the public sample of EAD 2019 (5 frames). Simulated ones are put into the same frames, at
other places, and their box is where the image changed. Both are measured inside the box and against a ring around it.
Nearly white spots are also found by a threshold in frames of Kvasir-SEG, before and after simulated highlights. Blur
acts on whole frames, so sharpness is compared in boxes of the same sizes. All frames are 256 pixels wide.
Writes `benchmarks/results/real_artefacts.md`. One thread, about a minute.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from palpate.artefacts import apply

ROOT = Path(__file__).resolve().parent.parent
WIDTH, FRAME = 256, 16
"""Width of all frames; a pixel whose brightest channel is darker than this is part of the black frame."""
WHITE, CHANGED, WINDOW = 200, 8, 0.2
BOXES = 24
"""Simulated boxes for each severity."""
SEVERITIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Box:
    """An image (H, W, 3), 0 to 255, and a part of it in pixels: left, top, right, bottom."""

    image: np.ndarray
    sides: tuple[int, int, int, int]

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Masks of the box and of a ring as wide as half of it; both without the black frame."""
        left, top, right, bottom = self.sides
        inside, around = (np.zeros(self.image.shape[:2], bool) for _ in range(2))
        wide, high = max(2, (right - left) // 2), max(2, (bottom - top) // 2)
        around[max(0, top - high) : bottom + high, max(0, left - wide) : right + wide] = True
        inside[top:bottom, left:right] = True
        lit = ndimage.binary_erosion(self.image.max(-1) > FRAME, iterations=2)
        return inside & lit, around & ~inside & lit


def contrast(box: Box) -> tuple[float, ...] | None:
    """Saturated share inside; sharpness (log2 ratio), brightness and colour saturation inside against around."""
    inside, around = box.parts()
    if inside.sum() < 9 or around.sum() < 9:
        return None
    grey, brightest = box.image.mean(-1), box.image.max(-1)
    colour = 1 - box.image.min(-1) / np.maximum(brightest, 1)
    edges = ndimage.laplace(grey) ** 2
    return (
        100 * float((box.image.min(-1)[inside] >= WHITE).mean()),
        float(np.log2((edges[inside].mean() + 1) / (edges[around].mean() + 1))),
        100 * float(grey[inside].mean() - grey[around].mean()) / 255,
        100 * float(np.percentile(grey[inside], 99) - grey[around].mean()) / 255,
        100 * float(colour[inside].mean() - colour[around].mean()),
    )


def sharpness(box: Box) -> float | None:
    """Energy of the Laplacian over the variance in the box, in log2: fine detail as a share of all contrast."""
    inside, _ = box.parts()
    grey = box.image.mean(-1)
    if inside.sum() < 25:
        return None
    return float(np.log2((ndimage.laplace(grey)[inside] ** 2).mean() / (grey[inside].var() + 1) + 1e-6))


def frames(folder: Path) -> Iterator[np.ndarray]:
    """All images of a folder, 256 pixels wide, in the order of their names."""
    for path in sorted(folder.glob("*.jpg")):
        image = Image.open(path).convert("RGB")
        size = (WIDTH, round(WIDTH * image.height / image.width))
        yield np.asarray(image.resize(size, Image.Resampling.BOX), np.float32)


def real(data: Path) -> dict[str, list[Box]]:
    """The boxes of EAD by class."""
    paths = sorted((data / "images").glob("*.jpg"))
    images = dict(zip((path.name for path in paths), frames(data / "images"), strict=True))
    found: dict[str, list[Box]] = {}
    for row in csv.DictReader((data / "boxes.csv").open()):
        image = images[Path(row["image"]).name]
        scale = WIDTH / 512
        sides = tuple(round(float(row[name]) * scale) for name in ("xmin", "ymin", "xmax", "ymax"))
        found.setdefault(row["label"], []).append(Box(image, sides))  # type: ignore[arg-type]
    return found


def simulated(name: str, severity: float, clean: list[np.ndarray], taken: list[list[Box]]) -> Iterator[Box]:
    """Boxes of one artefact, each in a frame and away from what is `taken` there.

    Its other parts are in the upper left corner, which is black.
    """
    for number in range(BOXES):
        image = clean[number % len(clean)]
        places = np.random.default_rng(number).uniform(0.2, 0.8, (200, 2))
        place = next(place for place in places if _is_free(place, image, taken[number % len(taken)]))
        here = {f"{PART[name]} from the {side}": float(share)
                for side, share in zip(("top", "left"), place, strict=True)}  # fmt: skip
        other = {f"{part} from the {side}": 0.0 for part in AWAY[name] for side in ("top", "left")}
        after = applied(name, severity, image, number, here | other)
        rows, columns = np.indices(image.shape[:2])
        height, width = image.shape[:2]
        near = np.hypot(rows - place[0] * height, columns - place[1] * width) < WINDOW * height
        changed = (np.abs(after - image).max(-1) >= CHANGED) & near
        if changed.any():
            down, right = np.nonzero(changed)
            yield Box(after, (int(right.min()), int(down.min()), int(right.max()) + 1, int(down.max()) + 1))


def _is_free(place: np.ndarray, image: np.ndarray, taken: list[Box]) -> bool:
    """Whether a place is tissue, a tenth of the frame or more away from the middle of each box."""
    height, width = image.shape[:2]
    spot = image[int(place[0] * height), int(place[1] * width)]
    middles = [((box.sides[1] + box.sides[3]) / 2 / height, (box.sides[0] + box.sides[2]) / 2 / width)
               for box in taken]  # fmt: skip
    return spot.max() > 3 * FRAME and all(np.hypot(*(place - middle)) > 0.1 for middle in middles)


PART = {"bubbles": "first group", "specular-highlights": "first group"}
AWAY = {"bubbles": ("second group",), "specular-highlights": ("second group", "third group")}
HEAD = """| boxes | number | size, % | saturated, % | sharpness, log2 | brightness, % | brightest, % | colour, % |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def glints(image: np.ndarray, before: np.ndarray | None = None) -> list[Box]:
    """Nearly white spots in the middle of a frame; without those that were there before."""
    mask = image.min(-1) >= WHITE
    if before is not None:
        mask &= ~ndimage.binary_dilation(before.min(-1) >= WHITE, iterations=2)
    labels, _ = ndimage.label(mask)
    found = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        down, right = place
        middle = ((down.start + down.stop) / 2 / image.shape[0], (right.start + right.stop) / 2 / image.shape[1])
        if (labels[place] == number).sum() >= 4 and all(0.2 < share < 0.8 for share in middle):
            found.append(Box(image, (right.start, down.start, right.stop, down.stop)))
    return found


def glinting(severity: float, clean: list[np.ndarray]) -> list[Box]:
    """Nearly white spots that simulated highlights add to frames."""
    found = []
    for number, image in enumerate(clean[:BOXES]):
        after = applied("specular-highlights", severity, image, number, {})
        found += glints(after, before=image)
    return found


def applied(name: str, severity: float, image: np.ndarray, seed: int, parameters: dict[str, float]) -> np.ndarray:
    """An image (H, W, 3) with an artefact."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    made = apply(name, pixels, bounds=(0, 255), severity=severity, parameters=parameters, step=1.0, seed=seed)
    return made.images[0].permute(1, 2, 0).numpy()


def channels_apart(data: Path) -> str:
    """How far red, green and blue are apart in boxes of `artifact`: the peak of their correlation, in 512 pixels."""
    said = "| box of `artifact` | red to green | green to blue |\n| --- | ---: | ---: |\n"
    for number, row in enumerate(
        row for row in csv.DictReader((data / "boxes.csv").open()) if row["label"] == "artifact"
    ):
        image = np.asarray(Image.open(data / row["image"]).convert("RGB"), np.float64)
        left, top, right, bottom = (int(float(row[name])) for name in ("xmin", "ymin", "xmax", "ymax"))
        fine = image - ndimage.gaussian_filter(image, (6, 6, 0))
        red, green, blue = np.moveaxis(fine[top:bottom, left:right], -1, 0)
        said += f"| {number + 1} | {_apart(red, green)} | {_apart(green, blue)} |\n"
    return said


def _apart(one: np.ndarray, other: np.ndarray) -> str:
    height, width = one.shape
    product = np.fft.fft2(one, (2 * height, 2 * width)) * np.conj(np.fft.fft2(other, (2 * height, 2 * width)))
    peak = np.fft.fftshift(np.fft.ifft2(product).real)
    middle = peak[height - 12 : height + 13, width - 12 : width + 13]
    down, right = np.unravel_index(middle.argmax(), middle.shape)
    return f"{np.hypot(down - middle.shape[0] // 2, right - middle.shape[1] // 2):.1f}"


def line(name: str, boxes: list[Box]) -> str:
    """Median (lowest to highest quarter) of each statistic."""
    boxes = [box for box in boxes if contrast(box) is not None]
    if not boxes:
        return f"| {name} | 0 | | | | | | |\n"
    values = np.array([found for box in boxes if (found := contrast(box)) is not None])
    sizes = np.array([100 * max(box.sides[2] - box.sides[0], box.sides[3] - box.sides[1]) / WIDTH for box in boxes])
    cells = [_cell(sizes), *(_cell(column) for column in values.T)]
    return f"| {name} | {len(values)} | {' | '.join(cells)} |\n"


def _cell(values: np.ndarray) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def blur_lines(boxes: list[Box], clean: list[np.ndarray]) -> str:
    """Sharpness in real boxes of blur, in the same places of clean frames, and there after simulated blur."""
    said = "| boxes | number | sharpness, log2 |\n| --- | ---: | ---: |\n"
    said += f"| real: blur | {len(boxes)} | {_sharp(boxes)} |\n"
    places = [box.sides for box in boxes]
    for name, severities in (("clean", (0,)), ("defocus", SEVERITIES), ("motion-blur", SEVERITIES)):
        for severity in severities:
            found = []
            for number, image in enumerate(clean):
                blurred = applied(name, severity, image, number, {}) if severity else image
                found.append(Box(blurred, places[number % len(places)]))
            said += f"| {name}{f' {severity}' if severity else ' frames'} | {len(found)} | {_sharp(found)} |\n"
    return said


def _sharp(boxes: list[Box]) -> str:
    return _cell(np.array([found for box in boxes if (found := sharpness(box)) is not None]))


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    data = parser.parse_args().data
    boxes = real(data / "det_endoscopy_ead2019_sample")
    clean = list(frames(data / "seg_polyp_kvasir" / "images"))
    own = list(frames(data / "det_endoscopy_ead2019_sample" / "images"))
    sharp = [box for label, found in boxes.items() if label != "blur" for box in found]
    taken = [[box for box in sharp if np.array_equal(box.image, image)] for image in own]
    said = HEAD + line("real: bubbles", boxes["bubbles"])
    for severity in SEVERITIES:
        said += line(f"bubbles {severity}", list(simulated("bubbles", severity, own, taken)))
    said += "\n" + HEAD
    for label in ("specularity", "saturation"):
        said += line(f"real: {label}", boxes[label])
    for severity in SEVERITIES:
        groups = simulated("specular-highlights", severity, own, taken)
        said += line(f"a group of specular-highlights {severity}", list(groups))
    said += "\n" + HEAD + line("real: spots", [spot for image in clean[:100] for spot in glints(image)])
    for severity in SEVERITIES:
        said += line(f"spots of specular-highlights {severity}", glinting(severity, clean))
    said += "\n" + blur_lines(boxes["blur"], clean[:BOXES])
    said += "\n" + channels_apart(data / "det_endoscopy_ead2019_sample")
    (ROOT / "benchmarks" / "results" / "real_artefacts.md").write_text(said)
    print(said)


if __name__ == "__main__":
    main()
