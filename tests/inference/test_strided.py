"""The faster gradient of a strided first layer: the same numbers, only where it applies, and nothing else changes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from palpate.victim import Tuning, Victim, strided
from palpate.victim.strided import ease_strided_inputs, input_gradient

SHAPES = [
    # size, kernel, stride, padding
    ((16, 16), (7, 7), (2, 2), (3, 3)),
    ((13, 18), (3, 3), (2, 2), (1, 1)),
    ((12, 12), (4, 4), (4, 4), (0, 0)),
    ((11, 14), (3, 2), (1, 3), (0, 1)),
    ((9, 12), (1, 1), (2, 5), (1, 3)),
    ((17, 9), (2, 7), (5, 2), (3, 0)),
    ((7, 8, 9), (3, 3, 3), (2, 2, 2), (1, 1, 1)),
    ((5, 6, 7), (1, 3, 2), (1, 2, 2), (0, 1, 0)),
]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), SHAPES)
def test_the_gradient_of_a_strided_convolution_is_the_usual_one(size, kernel, stride, padding):
    images = torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, *kernel, dtype=torch.float64)
    outputs = (F.conv2d if len(size) == 2 else F.conv3d)(images, weight, None, stride, padding)
    slopes = torch.randn_like(outputs)
    (usual,) = torch.autograd.grad(outputs, images, slopes)
    assert torch.allclose(input_gradient(slopes, weight, size, stride, padding), usual, rtol=0, atol=1e-12)


class Stem(nn.Module):
    """Begins with one strided convolution that a test names; what follows changes its output in place."""

    def __init__(self, **options):
        super().__init__()
        torch.manual_seed(0)
        options = {"kernel_size": 5, "stride": 2, "padding": 2, **options}
        self.first = nn.Conv2d(options.pop("channels", 3), 6, **options)
        self.norm, self.last = nn.BatchNorm2d(6), nn.Linear(6, 3)

    def forward(self, images):
        return self.last(F.relu(self.norm(self.first(images)), inplace=True).mean((2, 3)))


def slope(network, tuning, images):
    place = images.clone().requires_grad_()
    with Victim(network, (0, 1), tuning=tuning) as victim:
        return victim.gradient(victim.search(place).logsumexp(1), place)


@pytest.fixture
def used(monkeypatch):
    calls = []
    monkeypatch.setattr(strided, "input_gradient", lambda *a: calls.append(a) or input_gradient(*a))
    return calls


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("search", ["float32", "bfloat16"])
def test_the_search_takes_it_and_climbs_as_before(used, layout, search):
    network, images = Stem().eval(), torch.rand(8, 3, 33, 40)
    before = slope(network, Tuning(), images)
    assert not used
    after = slope(network, Tuning(layout, fold=True, search=search), images)
    assert used and after.dtype == torch.float32
    # bfloat16 rounds a few activations to the other side of zero.
    assert (after - before).norm() <= (1e-5 if search == "float32" else 0.2) * before.norm()
    assert "forward" not in vars(network.first)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 1},
        {"dilation": 2},
        {"channels": 6, "groups": 2},
        {"channels": 8},
        {"padding_mode": "reflect"},
    ],
)
def test_other_convolutions_stay_as_they_are(used, options):
    network = Stem(**options).eval()
    images = torch.rand(8, network.first.in_channels, 32, 32)
    before, after = slope(network, Tuning(), images), slope(network, Tuning(fold=True), images)
    assert not used and (after - before).abs().max() <= 1e-5 * before.abs().max()


def test_one_small_image_is_not_worth_it(used):
    slope(Stem().eval(), Tuning(fold=True), torch.rand(1, 3, 28, 28))
    assert not used


def test_weights_that_are_trained_keep_their_gradients(used):
    convolution, images = nn.Conv2d(3, 4, 3, stride=2), torch.rand(8, 3, 32, 32, requires_grad=True)
    ease_strided_inputs(convolution)
    convolution(images).sum().backward()
    assert convolution.weight.grad is not None and images.grad is not None and not used
    convolution.requires_grad_(False)(images).sum().backward()
    assert used
