"""The algebra of the SMIA family: where it is BIM, where it cannot differ, where it vanishes, where it pulls."""

import pytest
import torch

from palpate.attacks import recipes
from palpate.attacks.objectives import Deviation, Stabilised
from palpate.attacks.smoothing import gaussian, gaussian_weights
from palpate.checks import victims
from palpate.contracts import ObjectiveInputs
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim


def net(classes=4):
    return Victim(victims.small_net(classes=classes).double(), (0, 255))


def labelled(victim, count=8):
    images = victims.images(count, seed=4).double()
    with victim:
        return images, victim.judge(images).argmax(1)


def at(place, previous, outputs, labels, task, forward, forward_no_grad):
    """A point whose last iterate is the clean image."""
    return ObjectiveInputs(place, previous, previous, outputs, outputs, labels, task, 0.0, forward, forward_no_grad)


def gradient_of(objective, victim, task, images, previous, labels):
    with victim:
        place = images.clone().requires_grad_()
        outputs = victim.search(place)
        inputs = at(place, previous, outputs, labels, task, victim.search, victim.forward_no_grad)
        return victim.gradient(objective.value(inputs), place)


def moved(images):
    return images + torch.randn(images.shape, generator=torch.Generator().manual_seed(2), dtype=images.dtype)


@pytest.mark.parametrize("weight", [0.3, 0.9])
def test_same_steps_as_bim_until_the_smoothed_decision_flips(weight):
    victim = net()
    images, labels = labelled(victim)
    smia = Stabilised(weight, "step", "label")
    place = moved(images)
    with victim:
        smoothed = images + gaussian(place - images, 3, 1.0)
        assert torch.equal(victim.judge(smoothed).argmax(1), labels)
    ours = gradient_of(smia, victim, Classification(4), place, images, labels)
    bim = gradient_of(Deviation(), victim, Classification(4), place, images, labels)
    torch.testing.assert_close(ours, (1 - weight) * bim, rtol=1e-9, atol=1e-12)


def test_whole_attack_equals_bim_on_images_that_hold():
    victim = net()
    images, labels = labelled(victim)
    arguments = (victim, Classification(4), images, labels)
    ours = recipes.smia(Linf(0.05), steps=6, weight=0.5, smooth="step", agreement="label", through=False)(*arguments)
    bim = recipes.bim(Linf(0.05), steps=6)(*arguments)
    assert not bim.success.any()
    assert torch.equal(ours.images, bim.images)


@pytest.mark.parametrize("smooth", ["step", "perturbation", "image"])
def test_with_two_classes_and_hard_labels_every_variant_is_parallel_to_bim(smooth):
    victim = net(classes=2)
    images, labels = labelled(victim)
    place = moved(images) + 3
    ours = gradient_of(Stabilised(0.6, smooth, "label"), victim, Classification(2), place, images, labels)
    bim = gradient_of(Deviation(), victim, Classification(2), place, images, labels)
    cosine = torch.nn.functional.cosine_similarity(ours.flatten(1), bim.flatten(1)).abs()
    torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=1e-9, atol=1e-9)


def test_pulls_toward_the_smoothed_decision_once_it_flipped():
    victim, task = net(), Classification(4)
    images, labels = labelled(victim)
    others = (labels + 1) % 4
    with victim:
        place = moved(images).requires_grad_()
        outputs = victim.search(place)
        flipped = torch.nn.functional.one_hot(others, 4).double()
        inputs = at(place, images, outputs, labels, task, victim.search, lambda _: flipped)
        ours = victim.gradient(Stabilised(0.7, "step", "label").value(inputs), place, keep_graph=True)
        cross = torch.nn.functional.cross_entropy
        by_hand = cross(outputs, labels, reduction="none") - 0.7 * cross(outputs, others, reduction="none")
        expected = victim.gradient(by_hand, place)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("weight", [1.0, 1.5])
def test_hard_labels_refuse_a_weight_at_which_the_gradient_vanishes_or_reverses(weight):
    with pytest.raises(InputError, match="gradient vanishes"):
        Stabilised(weight, "step", "label")
    assert Stabilised(weight, "step", "distribution").weight == weight


def test_distribution_is_the_divergence_from_the_smoothed_to_the_image():
    victim, task = net(), Classification(4)
    images, labels = labelled(victim)
    place = moved(images)
    with victim:
        p, q = victim.judge(place).softmax(1), victim.judge(images + gaussian(place - images, 3, 1.0)).softmax(1)
        inputs = at(place, images, victim.judge(place), labels, task, victim.search, victim.forward_no_grad)
        value = Stabilised(0.8, "perturbation", "distribution").value(inputs)
    expected = -torch.log(p.gather(1, labels[:, None])).squeeze(1) - 0.8 * (q * (q / p).log()).sum(1)
    torch.testing.assert_close(value, expected)


def test_only_through_sends_gradients_into_the_smoothed_branch():
    victim = net()
    images, labels = labelled(victim)
    place = moved(images) * 0.9
    task = Classification(4)
    through = gradient_of(Stabilised(2.0, "image", "distribution", True), victim, task, place, images, labels)
    detached = gradient_of(Stabilised(2.0, "image", "distribution", False), victim, task, place, images, labels)
    assert (through - detached).abs().max() > 1e-3 * detached.abs().max()


def test_kernel_is_the_one_of_the_paper_and_channels_never_mix():
    assert gaussian_weights(3, 1.0) == pytest.approx((0.2741, 0.4519, 0.2741), abs=5e-5)
    spot = torch.zeros(1, 2, 5, 5)
    spot[0, 0, 2, 2] = 1
    blurred = gaussian(spot, 3, 1.0)
    expected = [[0.0751, 0.1238, 0.0751], [0.1238, 0.2042, 0.1238], [0.0751, 0.1238, 0.0751]]
    torch.testing.assert_close(blurred[0, 0, 1:4, 1:4], torch.tensor(expected), atol=5e-5, rtol=0)
    assert not blurred[0, 1].any()
    flat = torch.full((1, 1, 4, 4, 4), 7.0)
    torch.testing.assert_close(gaussian(flat, 5, 2.0), flat)


def test_reference_goes_beyond_the_ball_and_says_how_far():
    images = victims.level_images()
    weights = torch.full_like(images[0], 0.01)
    victim = Victim(victims.Linear(weights, float(weights.sum()) * 5.0), (0, 255))
    labels = torch.zeros(len(images), dtype=torch.int64)
    result = recipes.smia_reference(Linf(2.0), steps=10)(victim, Classification(2), images, labels)
    assert result.success.all()
    assert result.distance.tolist() == pytest.approx([6.0] * len(images))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"weight": -0.1}, "weight"),
        ({"smooth": "stepp"}, "smooth"),
        ({"agreement": "soft"}, "agreement"),
        ({"size": 4}, "odd"),
        ({"sigma": 0.0}, "sigma"),
        ({"agreement": "label", "through": True}, "through"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings, word):
    with pytest.raises(InputError, match=word):
        recipes.smia(Linf(1.0), **{"smooth": "step", "agreement": "label", "weight": 0.5, "through": False, **settings})
