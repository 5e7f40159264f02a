"""Digital fundus phantoms: synthetic photographs of the back of an eye whose lesion counts set a grade of 0 to 4.

Grades follow the ICDR scale (Wilkinson et al., Ophthalmology 2003;110:1677-82) by analogy: 0 no lesion; 1 a few
microaneurysms and nothing else; 2 some haemorrhages, hard exudates and perhaps a cotton-wool spot; 3 many of each;
4 still more, and new vessels. `lesions.COUNTS` has the ranges. Lesions are larger than real ones, so that they are
visible at 128 pixels. A phantom is a test object with known truth, not a model of disease: what a network does on
phantoms says nothing about patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palpate.data.phantoms.anatomy import Eye, reflectance
from palpate.data.phantoms.camera import expose
from palpate.data.phantoms.canvas import canvas
from palpate.data.phantoms.lesions import COUNTS, KINDS, paint, scatter
from palpate.errors import InputError
from palpate.seeds import derive

GRADES = tuple(range(len(COUNTS)))
"""0 no retinopathy, 1 mild, 2 moderate, 3 severe, 4 proliferative: the phantom's analogy to the ICDR scale."""


@dataclass(frozen=True)
class FundusPhantom:
    """A phantom with its ground truth."""

    image: npt.NDArray[np.uint8]
    """Photograph, (size, size, 3)."""
    grade: int
    """0..4."""
    counts: dict[str, int]
    """Number of lesions of each kind."""
    lesions: npt.NDArray[np.uint8]
    """Label of each pixel, (size, size): 0 none, otherwise 1 + index in `lesions.KINDS`."""
    vessels: npt.NDArray[np.bool_]
    """Pixels of arteries and veins, (size, size)."""


def phantom(grade: int, rng: np.random.Generator, size: int = 128) -> FundusPhantom:
    """One fundus phantom with its ground truth.

    Args:
        grade: 0..4; sets how many lesions of each kind are drawn (`lesions.COUNTS`).
        rng: Source of everything random: the eye, the lesions, the camera.
        size: Width and height in pixels, at least 64.

    Raises:
        InputError: for an unknown grade or a size below 64.
    """
    if grade not in GRADES:
        raise InputError(f"A fundus phantom has no grade {grade}. Use one of 0, 1, 2, 3, 4.")
    if size < 64:
        raise InputError(f"A fundus phantom of {size} pixels cannot show its lesions. Use a size of 64 or more.")
    grid = canvas(size)
    eye = Eye.draw(rng)
    retina, vessels = reflectance(eye, grid, rng)
    lesions = scatter(grade, eye, vessels, grid, rng)
    scene, labels = paint(retina, lesions, grid, rng)
    if rng.random() < 0.5:  # a left eye
        scene, labels, vessels = scene[:, ::-1], labels[:, ::-1], vessels[:, ::-1]
    counts = {kind: sum(lesion.kind == kind for lesion in lesions) for kind in KINDS}
    return FundusPhantom(expose(scene, grid, rng), grade, counts, labels, vessels > 0.5)


def fundus(grade: int, rng: np.random.Generator, size: int = 128) -> npt.NDArray[np.uint8]:
    """The photograph of one phantom, (size, size, 3), uint8. Arguments and errors as in `phantom`."""
    return phantom(grade, rng, size).image


def fundus_set(
    count: int, seed: int, size: int = 128, grades: Sequence[int] = GRADES
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """`count` phantoms with grades taken in turn, each from its own generator.

    Phantom `i` depends on `seed`, `i`, its grade and `size` only: a longer set begins with the shorter one.

    Returns:
        Images of (count, size, size, 3), uint8, and grades of (count,), int64.

    Raises:
        InputError: for a negative count, no grades, an unknown grade or too small a size.
    """
    if count < 0 or not grades:
        raise InputError("A set of phantoms needs a count of 0 or more and at least one grade.")
    labels = np.array([grades[i % len(grades)] for i in range(count)], np.int64)
    images = np.empty((count, size, size, 3), np.uint8)
    for i, grade in enumerate(labels.tolist()):
        images[i] = fundus(grade, np.random.default_rng(derive(seed, "fundus", i)), size)
    return images, labels
