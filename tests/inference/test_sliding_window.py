"""Sliding windows: the function of MONAI, bit for bit, and its gradient, window by window."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from palpate.annotations import Candidates
from palpate.attacks import recipes
from palpate.audit.plan.identity import digest
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Tuning, Victim
from palpate.victim.inference import Flips, SlidingWindow
from palpate.victim.tuning import choose


class Net(nn.Module):
    """A small network with norms, of 2 or 3 dimensions; it counts the windows that pass through it."""

    def __init__(self, dimensions, channels=1, classes=3):
        super().__init__()
        convolution = (nn.Conv2d, nn.Conv3d)[dimensions - 2]
        norm = (nn.BatchNorm2d, nn.BatchNorm3d)[dimensions - 2]
        self.first, self.norm = convolution(channels, 6, 3, padding=1), norm(6)
        self.last = convolution(6, classes, 3, padding=1)
        self.windows, self.most = 0, 0

    def forward(self, images):
        self.windows += len(images)
        self.most = max(self.most, len(images))
        # A mean over the whole window: what a window sees depends on where it begins.
        inner = F.silu(self.norm(self.first(images)))
        return self.last(inner - inner.mean(dim=tuple(range(2, images.ndim)), keepdim=True))


def network(dimensions, channels=1, classes=3, dtype=torch.float32):
    torch.manual_seed(dimensions)
    net = Net(dimensions, channels, classes).to(dtype).eval().requires_grad_(False)
    net.norm.running_mean += 0.3
    return net


CASES = {
    "2d": (SlidingWindow((8, 8)), (2, 1, 16, 16)),
    "2d not divisible": (SlidingWindow((8, 6), 0.25, batch=3), (2, 2, 19, 13)),
    "2d no overlap": (SlidingWindow((8, 8), 0.0, "constant"), (1, 1, 20, 16)),
    "2d much overlap": (SlidingWindow((7, 5), 0.8, sigma_scale=0.3, batch=4), (1, 1, 12, 11)),
    "2d wider than high": (SlidingWindow((12, 8)), (2, 1, 9, 21)),
    "2d reflected": (SlidingWindow((12, 8), padding="reflect"), (2, 1, 9, 21)),
    "2d larger than the image": (SlidingWindow((16, 17), batch=1), (2, 1, 9, 12)),
    "2d in one pass": (SlidingWindow((16, 17), batch=2), (2, 1, 9, 12)),
    "3d": (SlidingWindow((6, 6, 6)), (1, 1, 9, 10, 7)),
    "3d several volumes": (SlidingWindow((6, 4, 5), 0.5, "constant", batch=2), (3, 2, 8, 7, 9)),
    "3d thin": (SlidingWindow((6, 6, 4), 0.6, padding="replicate"), (2, 1, 9, 9, 3)),
}


def plain(window, images, net):
    """MONAI's own call, with its whole graph."""
    from monai.inferers import sliding_window_inference

    return sliding_window_inference(
        images,
        window.size,
        window.batch,
        net,
        overlap=window.overlap,
        mode=window.mode,
        sigma_scale=window.sigma_scale,
        padding_mode=window.padding,
    )


def gradient(evaluate, images):
    """Gradient of a loss that is curved in every output."""
    images = images.clone().requires_grad_()
    outputs = evaluate(images)
    loss = (outputs.log_softmax(1)[:, 0] * torch.linspace(0.5, 2, outputs[0, 0].numel()).view(outputs.shape[2:])).sum()
    return outputs.detach(), torch.autograd.grad(loss, images)[0]


@pytest.mark.parametrize("name", CASES)
def test_verdict_and_search_are_monais_bit_for_bit(name):
    window, shape = CASES[name]
    net, images = network(len(shape) - 2, shape[1]), torch.rand(shape)
    with torch.no_grad():
        expected = plain(window, images, net)
        assert torch.equal(window(images, net), expected)
    searched, _ = gradient(lambda x: window(x, net), images)
    assert torch.equal(searched, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_gradient_is_that_of_the_whole_graph(name, dtype):
    window, shape = CASES[name]
    net, images = network(len(shape) - 2, shape[1], dtype=dtype), torch.rand(shape, dtype=dtype)
    _, expected = gradient(lambda x: plain(window, x, net), images)
    _, found = gradient(lambda x: window(x, net), images)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-13
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_never_more_windows_at_once_than_asked_and_each_twice():
    window, images = SlidingWindow((8, 8), batch=3), torch.rand(2, 1, 16, 16)
    net = network(2)
    gradient(lambda x: window(x, net), images)
    assert net.most == 3
    assert net.windows == 2 * 2 * 9


def test_windows_that_the_loss_does_not_look_at_cost_no_backward():
    window, net = SlidingWindow((8, 8), 0.0), network(2)
    images = torch.rand(1, 1, 32, 32, requires_grad=True)
    outputs = window(images, net)
    passed = net.windows
    (found,) = torch.autograd.grad(outputs[..., :8, :8].sum(), images)
    assert net.windows == passed + 1
    assert found[..., :8, :8].abs().sum() > 0
    assert found[..., 8:, :].abs().sum() == 0


def test_gradient_may_be_asked_twice():
    window, net = SlidingWindow((8, 8)), network(2)
    images = torch.rand(1, 1, 16, 16, requires_grad=True)
    value = window(images, net).square().sum()
    first = torch.autograd.grad(value, images, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(value, images)[0], first)


def test_weights_that_are_trained_get_their_gradients():
    window, net = SlidingWindow((8, 8)), network(2).requires_grad_()
    images = torch.rand(1, 1, 16, 16, requires_grad=True)
    found = torch.autograd.grad(window(images, net).square().sum(), net.first.weight)[0]
    expected = torch.autograd.grad(plain(window, images, net).square().sum(), net.first.weight)[0]
    assert torch.allclose(found, expected, rtol=1e-4)


def test_a_network_that_hands_back_its_input_leaves_the_images_alone():
    images = torch.rand(1, 1, 16, 16)
    kept = images.clone()
    outputs = SlidingWindow((8, 8))(images, nn.Identity())
    assert torch.equal(images, kept)
    assert torch.allclose(outputs, images)


def test_bfloat16_search_is_blended_and_differentiated_as_it_was_computed():
    window, net = SlidingWindow((8, 8)), network(2)
    images = torch.rand(2, 1, 20, 16)

    def mixed(evaluate):
        def run(x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return evaluate(x)

        return run

    whole = gradient(mixed(lambda x: plain(window, x, lambda w: net(w).float())), images)
    found = gradient(mixed(lambda x: window(x, net)), images)
    exact = gradient(lambda x: window(x, net), images)
    assert found[0].dtype == torch.float32
    assert torch.equal(found[0], whole[0])
    assert torch.allclose(found[1], whole[1], atol=1e-5 * float(whole[1].abs().max()))
    assert not torch.equal(found[1], exact[1])


def test_a_victim_with_windows_is_tuned_attacked_and_judged():
    class Largest(nn.Module):
        """Two logits an image from a map, so that the attack has a margin."""

        def forward(self, maps):
            return maps.amax(dim=(2, 3))

    window, images = SlidingWindow((8, 8)), torch.rand(3, 1, 20, 18)
    net = network(2, classes=2)

    class Clinic:
        """The windows, then a decision about the whole."""

        def __call__(self, inputs, module):
            return Largest()(window(inputs, module))

        example = staticmethod(window.example)

        def describe(self):
            return window.describe()

    victim = Victim(net, (0, 1), inferer=Clinic())
    with victim:
        labels = victim.judge(images).argmax(1)
    for tuning in (Tuning(), choose(victim, images, mixed=True), Tuning("channels_last", fold=True, search="bfloat16")):
        victim = Victim(net, (0, 1), inferer=Clinic(), tuning=tuning)
        result = recipes.pgd(Linf(0.3), steps=3)(victim, Classification(2), images, labels)
        with victim:
            outputs = victim.judge(result.images)
        assert torch.allclose(Classification(2).margin(outputs, labels), result.margin)
        assert (result.margin < result.clean_margin).all()


def test_passes_are_counted_in_images():
    victim = Victim(network(2), (0, 1), inferer=SlidingWindow((8, 8)))
    with victim:
        victim.judge(torch.rand(2, 1, 32, 32))
    assert victim.forwards == 2


def test_a_network_without_gradient_is_refused_in_one_sentence():
    class Detached(nn.Module):
        def forward(self, images):
            return images.detach() * 2

    images = torch.rand(1, 1, 16, 16, requires_grad=True)
    with Victim(Detached(), (0, 1), inferer=SlidingWindow((8, 8))) as victim:
        outputs = victim.search(images)
        with pytest.raises(InputError, match="no gradient flows"):
            victim.gradient(outputs.flatten(1).sum(1), images)


def test_example_is_one_window_also_of_smaller_images():
    assert SlidingWindow((8, 6)).example(torch.rand(3, 2, 16, 16)).shape == (1, 2, 8, 6)
    assert SlidingWindow((8, 6, 4)).example(torch.rand(3, 1, 16, 3, 16)).shape == (1, 1, 8, 6, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (0, 8)}, "at least 1 pixel"),
        ({"size": (8,)}, "2 or 3 whole numbers"),
        ({"size": (8, 8.5)}, "2 or 3 whole numbers"),
        ({"overlap": 1.0}, "below 1"),
        ({"overlap": -0.1}, "at least 0"),
        ({"overlap": float("nan")}, "at least 0"),
        ({"batch": 0}, "at least 1 window"),
        ({"mode": "linear"}, "'linear' is not one of gaussian, constant"),
        ({"padding": "mirror"}, "'mirror' is not one of"),
        ({"sigma_scale": 0.0}, "above 0"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(InputError, match=message):
        SlidingWindow(**{"size": (8, 8), **settings})


def test_windows_of_another_dimension_than_the_images():
    with pytest.raises(InputError, match="2 axes cannot slide over images of 3"):
        SlidingWindow((8, 8))(torch.rand(1, 1, 8, 8, 8), network(3))


def test_padding_that_the_image_is_too_small_for():
    with pytest.raises(InputError, match="'reflect' cannot pad 3 pixels to a window of 16"):
        SlidingWindow((16, 16), padding="reflect")(torch.rand(1, 1, 3, 20), network(2))


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("module", "found"),
    [
        (lambda x: Candidates(x.flatten(2), x.flatten(2)), "Candidates"),
        (lambda x: x.mean(dim=(2, 3)), r"\[1, 1\]"),
        (lambda x: F.avg_pool2d(x, 2), r"\[1, 1, 4, 4\]"),
    ],
)
def test_outputs_that_cannot_be_blended(module, found, asked):
    with pytest.raises(InputError, match=f"the model returned {found}"):
        SlidingWindow((8, 8))(torch.rand(1, 1, 16, 16, requires_grad=asked), module)


def test_every_setting_is_part_of_the_identity():
    window = SlidingWindow((8, 8))
    changed = [
        dataclasses.replace(window, size=(8, 9)),
        dataclasses.replace(window, overlap=0.25),
        dataclasses.replace(window, mode="constant"),
        dataclasses.replace(window, batch=2),
        dataclasses.replace(window, sigma_scale=0.2),
        dataclasses.replace(window, padding="reflect"),
        dataclasses.replace(window, inner=Flips(((0,),))),
    ]
    assert len({digest(entry) for entry in [window, *changed]}) == 8
    assert window == SlidingWindow((8, 8)) and hash(window) == hash(SlidingWindow((8, 8)))


def test_words():
    assert SlidingWindow((96, 96, 96)).describe() == "sliding windows of 96 x 96 x 96, overlap 0.5, Gaussian weights"
