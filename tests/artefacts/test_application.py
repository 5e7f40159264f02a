"""`palpate.artefacts.apply`: what is given is used, the rest is random, and mistakes are one sentence."""

from typing import Any

import pytest
import torch

from palpate.artefacts import apply
from palpate.errors import InputError

IMAGES = torch.linspace(0, 200, 64 * 64).reshape(1, 1, 64, 64).repeat(2, 1, 1, 1)
CT: dict[str, Any] = {"bounds": (-1024, 3071), "unit": "HU", "spacing": (1.0, 1.0)}


def test_severity_0_is_the_image_and_5_is_not() -> None:
    assert torch.equal(apply("brightness", IMAGES, bounds=(0, 255), severity=0).images, IMAGES)
    made = apply("brightness", IMAGES, bounds=(0, 255), severity=5, seed=1)
    assert made.images.shape == IMAGES.shape and not torch.equal(made.images, IMAGES)
    assert made.words[0] != made.words[1], "a random one for each image"
    again = apply("brightness", IMAGES, bounds=(0, 255), severity=5, seed=1)
    assert torch.equal(again.images, made.images)


def test_parameters_that_are_given_are_used() -> None:
    made = apply("metal", IMAGES, severity=2, parameters={"material": "iron", "aspect": 0.5}, **CT)
    assert "diameter 4 mm" in made.words[0] and "material iron" in made.words[0] and "aspect 0.5" in made.words[0]
    again = apply("metal", IMAGES, parameters={"diameter": 4, "material": "iron", "aspect": 0.5}, **CT)
    assert torch.equal(again.images, made.images), "all strengths in place of a severity"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"severity": 6}, "^severity: 6 must be from 0 to 5"),
        ({}, "^severity: give one from 0 to 5, or all strengths of metal: diameter"),
        ({"severity": 1, "parameters": {"diametr": 3}}, "^parameters: metal has no 'diametr'. Did you mean 'diameter'"),
        ({"parameters": {"diameter": 50}}, "^parameters: diameter = 50 is outside its range 0 to 12 mm"),
        ({"parameters": {"diameter": -3}}, "^parameters: diameter = -3 is outside its range 0 to 12 mm"),
        ({"parameters": {"diameter": float("nan")}}, "^parameters: diameter = nan is outside its range"),
        ({"severity": 1, "parameters": {"material": "gold"}}, "^parameters: material is not 'gold'. Known are: copper"),
        ({"severity": 1, "parameters": {"aspect": "round"}}, "^parameters: aspect is a number from 0.33 to 1, not"),
        ({"severity": 1, "unit": ""}, 'needs Hounsfield units, and the values have no unit.*unit="HU" in palpate'),
        ({"severity": 1, "spacing": None}, "needs the size of a pixel in mm.*spacing in palpate.artefacts.apply"),
        ({"severity": 1, "spacing": (1.0,)}, "^spacing: it has 1 numbers, and the images have 2 axes"),
        ({"severity": 1, "bounds": (255, 0)}, "^bounds: 255 must be a number less than 0"),
        ({"severity": 1, "bounds": (0, 100)}, "^bounds: the images have values from 0 to 200, outside 0 to 100"),
        ({"severity": 1, "images": IMAGES[0]}, r"^images: they must be float32 .* of the form \[1, 64, 64\]"),
        ({"severity": 1, "images": IMAGES.long()}, "^images: they must be float32 .* are int64"),
        ({"severity": 1, "images": IMAGES.numpy()}, "^images: give a tensor, torch.as_tensor"),
        ({"severity": 1, "images": IMAGES.half()}, "^images: they must be float32 .* are float16"),
        ({"severity": 1, "images": IMAGES * float("nan")}, "^images: some values are NaN"),
        ({"severity": 1, "step": 0}, "^step: 0 must be above 0, and at most the range"),
        ({"severity": 1, "step": 1e9}, "^step: 1e.09 must be above 0, and at most the range"),
        ({"severity": 1, "spacing": 2.0}, "^spacing: 2.0 must be numbers in brackets"),
        ({"severity": 1, "spacing": (0, 0)}, "^spacing: .* must be the size of a pixel"),
        ({"severity": 1, "bounds": (5,)}, "^bounds: .* must be 2 numbers"),
        ({"severity": "three"}, "^severity: 'three' must be a number"),
        ({"severity": 1, "unit": None}, "^unit: it must be a text"),
        ({"severity": 1, "parameters": [1, 2]}, "^parameters: give names and values"),
        ({"severity": 1, "artefact": None}, "^artefact: give a name"),
        ({"severity": 1, "artefact": "metl"}, "^There is no artefact 'metl'. Did you mean 'metal'"),
        ({"severity": 1, "artefact": "metal+metal"}, "'metal' is named twice"),
    ],
)
def test_a_mistake_is_named_with_the_fix(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        apply(**({"artefact": "metal", "images": IMAGES, **CT} | settings))
