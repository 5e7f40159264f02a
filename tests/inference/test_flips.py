"""Test-time augmentation: the average over flips, its gradient, and what cannot be flipped."""

import dataclasses

import pytest
import torch
from torch import nn

from palpate.annotations import Candidates
from palpate.audit.plan.identity import digest
from palpate.errors import InputError
from palpate.victim import Victim
from palpate.victim.inference import Flips, SlidingWindow
from tests.inference.test_sliding_window import gradient, network

ALL_OF_2D = ((0,), (1,), (0, 1))


def by_hand(images, net, axes):
    """Logits of every flip, flipped back."""
    return torch.stack([net(images.flip([a + 2 for a in flip])).flip([a + 2 for a in flip]) for flip in ((), *axes)])


def test_average_of_logits_and_its_gradient():
    net, images = network(2, dtype=torch.float64), torch.rand(2, 1, 9, 12, dtype=torch.float64)
    expected = gradient(lambda x: by_hand(x, net, ALL_OF_2D).mean(0), images)
    found = gradient(lambda x: Flips(ALL_OF_2D)(x, net), images)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)


def test_average_of_probabilities():
    net, images = network(2, dtype=torch.float64), torch.rand(2, 1, 9, 12, dtype=torch.float64)
    logits = by_hand(images, net, ALL_OF_2D)
    softmax = Flips(ALL_OF_2D, average="softmax")(images, net)
    sigmoid = Flips(ALL_OF_2D, average="sigmoid")(images, net)
    assert torch.allclose(softmax.exp(), logits.softmax(2).mean(0))
    assert torch.allclose(sigmoid.sigmoid(), logits.sigmoid().mean(0))


def test_average_of_probabilities_survives_large_logits():
    images = torch.full((1, 1, 4, 4), 500.0, requires_grad=True)
    outputs = Flips(((0,),), average="sigmoid")(images, nn.Identity())
    assert torch.allclose(outputs, images)
    assert torch.autograd.grad(outputs.sum(), images)[0].isfinite().all()


def test_three_dimensions_one_axis():
    net, images = network(3), torch.rand(1, 1, 5, 6, 7)
    assert torch.allclose(Flips(((2,),))(images, net), by_hand(images, net, ((2,),)).mean(0), atol=1e-6)


@pytest.mark.parametrize(
    "inferer",
    [
        Flips(ALL_OF_2D, SlidingWindow((8, 8), 0.25, batch=2)),
        SlidingWindow((8, 8), 0.25, batch=2, inner=Flips(ALL_OF_2D)),
    ],
)
def test_flips_and_windows_together(inferer):
    net, images = network(2, dtype=torch.float64), torch.rand(2, 1, 19, 13, dtype=torch.float64)
    # Weights that ask for gradients keep the whole graph.
    expected = gradient(lambda x: inferer(x, network(2, dtype=torch.float64).requires_grad_()), images)
    found = gradient(lambda x: inferer(x, net), images)
    assert torch.equal(found[0], expected[0])
    assert torch.allclose(found[1], expected[1], rtol=1e-10, atol=1e-13)


def test_flipped_image_and_flipped_windows_differ_where_windows_do_not_divide_the_image():
    net, images = network(2), torch.rand(1, 1, 19, 13)
    outer = Flips(((0,),), SlidingWindow((8, 8), 0.25))(images, net)
    assert not torch.allclose(outer, SlidingWindow((8, 8), 0.25, inner=Flips(((0,),)))(images, net))


def test_a_classifiers_logits_are_averaged_as_they_are():
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images = torch.rand(2, 1, 3, 4)
    found = Flips(((1,),))(images, classifier)
    assert torch.allclose(found, (classifier(images) + classifier(images.flip(3))) / 2)


def test_only_one_flip_keeps_its_graph():
    """Activations saved for the backward are those of one pass, not of four."""
    saved = []
    net, images = network(2), torch.rand(1, 1, 64, 64, requires_grad=True)

    def count(tensor):
        saved.append(tensor.numel())
        return tensor

    def kept(evaluate):
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            evaluate(images)
        return sum(saved)

    assert kept(lambda x: Flips(ALL_OF_2D)(x, net)) < kept(net)


def test_example_words_identity():
    flips = Flips(((0,), (0, 1)), SlidingWindow((8, 8)))
    assert flips.example(torch.rand(2, 1, 16, 16)).shape == (1, 1, 8, 8)
    assert flips.describe().startswith(
        "the average of logits over the image and its flips (axes 0, 0+1), each by sliding"
    )
    others = [dataclasses.replace(flips, axes=((0,),)), dataclasses.replace(flips, average="softmax"), Flips(((0,),))]
    assert len({digest(entry) for entry in [flips, *others]}) == 4


def test_a_detectors_candidates_are_refused():
    module = lambda x: Candidates(x.flatten(2), x.flatten(2))  # noqa: E731
    with Victim(nn.Identity(), (0, 1)), pytest.raises(InputError, match="the model returned Candidates"):
        Flips(((0,),))(torch.rand(1, 1, 4, 4), module)


def test_an_axis_that_the_images_do_not_have():
    with pytest.raises(InputError, match="axis 2 does not exist in images with 2 spatial axes"):
        Flips(((2,),))(torch.rand(1, 1, 4, 4), nn.Identity())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"axes": ()}, "no flip is given"),
        ({"axes": ((),)}, "must name spatial axes"),
        ({"axes": ((3,),)}, "must name spatial axes"),
        ({"axes": ((-1,),)}, "must name spatial axes"),
        ({"axes": ((0, 0),)}, "each once"),
        ({"axes": ((0, 1), (1, 0))}, "the same flip twice"),
        ({"axes": ((0,),), "average": "votes"}, "'votes' is not one of logits, softmax, sigmoid"),
        ({"axes": ((0,),), "inner": SlidingWindow((8, 8), inner=Flips(((0,),)))}, "flipped already"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(InputError, match=message):
        Flips(**settings)
