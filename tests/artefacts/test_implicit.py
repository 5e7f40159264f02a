"""Implicit attacks: everything is known on paper for a linear model."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from palpate.artefacts.general import Brightness, Position
from palpate.artefacts.implicit import Implicit, implicit
from palpate.errors import InputError
from palpate.streams import Streams
from palpate.tasks.segmentation import Segmentation
from palpate.victim import Victim
from tests.artefacts.search.planted import BOUNDS, SCENE, SIZE, TASK, Darker, flat, mean_value, streams
from tests.artefacts.search.test_search import Opaque
from tests.artefacts.search.test_steps import Bright, scene_with_a_square


def compared(artefact, module, images, targets=None, task=TASK, **options) -> Implicit:
    targets = torch.zeros(len(images), dtype=torch.int64) if targets is None else targets
    options.setdefault("streams", streams(len(images)))
    with Victim(module, BOUNDS) as victim:
        return implicit(artefact, victim, task, images, targets, [SCENE] * len(images), **options)


def test_brightness_against_the_mean_on_paper():
    images = flat(2, 100.0, 110.0)
    found = compared(Brightness(), mean_value(95.0), images, severity=3.0)
    change = found.theta[..., 0] * 255
    margin = (images[:, 0, 0, 0] - 95)[:, None]
    assert torch.allclose(found.length, change.abs() * SIZE)
    # All values change alike, which is the gradient's direction: brighter lowers the loss.
    assert torch.allclose(found.cosine, -change.sign())
    assert torch.allclose(found.gain, F.softplus(-margin - change) - F.softplus(-margin))
    assert torch.equal(found.flips, margin + change <= 0)
    # The mean of noise of the same length is 1 / 32 of it in the mean.
    assert not bool(found.noise_flips.any()) and float(found.noise_cosine.abs().mean()) < 2.5 / SIZE
    spread = float((found.noise_cosine * SIZE).square().mean().sqrt())
    assert 0.7 < spread < 1.3
    assert found.rate == pytest.approx(float(found.flips.double().mean()))
    assert 0.3 < found.rate < 0.6


def test_the_noise_is_as_long_as_the_change_where_half_of_it_is_clipped():
    images = torch.zeros(1, 1, SIZE, SIZE, dtype=torch.float64)
    images[..., : SIZE // 2] = 100.0
    module, lengths = mean_value(10.0), []
    module.register_forward_hook(lambda _, inputs, __: lengths.extend((inputs[0] - images).flatten(1).norm(dim=1)))
    found = compared(Darker(), module, images, draws=1, severity=3.0)
    # Clean (twice, and once more to see whether a gradient flows), the artefact, the noise: the last two are as long.
    assert float(lengths[-1]) == pytest.approx(float(found.length[0, 0]), rel=1e-9)
    assert float(lengths[-1]) == pytest.approx(float(lengths[-2])) and float(lengths[-1]) > 0


def test_an_image_that_is_wrong_does_not_count():
    found = compared(Darker(), mean_value(95.0), flat(2, 90.0, 200.0), draws=1, severity=5.0)
    # 100 of 200 is above 95; with 110 it is not.
    assert found.counted.tolist() == [False, True] and not bool(found.flips.any())
    assert bool(found.gain[0].isnan()) and math.isnan(float(found.rates[0])) and found.rate == 0
    assert compared(Darker(), mean_value(110.0), flat(1, 200.0, 200.0), draws=1, severity=5.0).rate == 1


def test_images_do_not_depend_on_the_batch_and_results_repeat():
    images = flat(3)
    whole = compared(Brightness(), mean_value(95.0), images)
    parts = [
        compared(Brightness(), mean_value(95.0), images[[row]], streams=Streams([row]), batch=5) for row in range(3)
    ]
    for name in ("theta", "gain", "noise_gain", "cosine", "noise_cosine", "length"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))


def test_a_black_box_has_no_cosine():
    found = compared(Brightness(), Opaque(mean_value(95.0)), flat(1))
    assert bool(found.cosine.isnan().all()) and "black box" in str(found.blocked)
    assert bool(found.gain.isfinite().all())


def test_masks_move_along():
    images, targets = scene_with_a_square(12)
    found = compared(Position(), Bright(), images, targets, Segmentation(1))
    assert bool(found.counted.all()) and not bool(found.flips.any()) and bool((found.length > 0).all())


@pytest.mark.parametrize(("name", "value"), [("severity", 0.0), ("severity", 5.5), ("draws", 0)])
def test_numbers_out_of_range(name, value):
    with pytest.raises(InputError, match=f"^{name}: "):
        compared(Brightness(), mean_value(95.0), flat(1), **{name: value})
