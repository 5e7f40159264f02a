"""From RGB to grey for networks of one channel: as Pillow has it, differentiable, one perturbation for all channels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from palpate.errors import InputError
from palpate.models.faults import refusal
from palpate.preprocess import Chain, Preprocess, ToRGB

PREPARES = [Preprocess(channels=1), Chain((ToRGB(1),))]


@pytest.mark.parametrize("prepare", PREPARES)
def test_grey_is_that_of_pillow(prepare: Preprocess | Chain) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32)
    found = prepare(torch.from_numpy(pixels).permute(2, 0, 1)[None].float())
    assert found.shape == (1, 1, 8, 9)
    assert float((found[0, 0] - torch.from_numpy(expected)).abs().max()) <= 1.0
    assert "turn RGB into grey (ITU-R 601)" in prepare.describe()


@pytest.mark.parametrize("prepare", PREPARES)
def test_gradients_reach_every_channel_by_its_share(prepare: Preprocess | Chain) -> None:
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    prepare(images).sum().backward()
    torch.testing.assert_close(images.grad[1, :, 2, 3], torch.tensor([0.299, 0.587, 0.114]))


@pytest.mark.parametrize("prepare", PREPARES)
def test_grey_stays_and_other_channels_are_refused(prepare: Preprocess | Chain) -> None:
    grey = torch.rand(1, 1, 4, 4)
    assert torch.equal(prepare(grey), grey)
    assert prepare(torch.rand(1, 3, 4, 4, 5)).shape == (1, 1, 4, 4, 5)
    with pytest.raises(InputError, match=r"2 channels cannot be repeated to 1: grey is repeated, and RGB becomes one"):
        prepare(torch.rand(1, 2, 4, 4))


def test_the_field_is_named_where_a_network_of_one_channel_gets_rgb() -> None:
    network = torch.nn.Conv2d(1, 1, 3)
    with pytest.raises(RuntimeError) as caught:
        network(torch.rand(1, 3, 8, 8))
    said = str(refusal(caught.value, (1, 3, 8, 8), "plan"))
    assert "expects images of 1 channels and was given 3. Turn RGB into grey: preprocess.channels = 1." in said
