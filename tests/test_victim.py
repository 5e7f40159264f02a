"""The victim: the same answers from a tuned copy, nothing left behind, bad models in one sentence."""

import threading

import pytest
import torch
from torch import nn

from palpate.attacks.recipes import bim
from palpate.checks import victims
from palpate.errors import InputError
from palpate.preprocess import Preprocess
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import Linf
from palpate.victim import Tuning, Victim
from palpate.victim import tuning as timing
from palpate.victim.folding import fold_batch_norms
from palpate.victim.tuning import choose


def test_tuned_copies_compute_the_same():
    network, images = victims.small_net(), victims.images()
    with Victim(network, (0, 255)) as exact:
        expected = exact.judge(images)
    for tuning, tolerance in (
        (Tuning(fold=True), 1e-4),
        (Tuning("channels_last", fold=True), 1e-4),
        (Tuning("channels_last", fold=True, search="bfloat16"), 0.5),
    ):
        with Victim(network, (0, 255), tuning=tuning) as victim:
            assert (victim.search(images) - expected).abs().max() < tolerance
            assert torch.equal(victim.judge(images), expected)


def test_folding_removes_the_norms_and_leaves_the_original():
    network, images = victims.small_net(), victims.images()
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batch_norms(network, images[:1])
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert all(torch.equal(kept[name], value) for name, value in network.state_dict().items())


def test_folding_refuses_where_it_would_change_the_function():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
            self.norm.running_mean += 2

        def forward(self, images):
            inner = self.convolution(images)
            return (self.norm(inner) + inner).flatten(1)

    network, images = Twice().eval(), victims.images() / 255
    with torch.no_grad():
        assert torch.allclose(fold_batch_norms(network, images[:1])(images), network(images), atol=1e-5)


def test_retraining_between_uses_is_seen_by_the_tuned_copy():
    network, images = victims.small_net(), victims.images()
    victim = Victim(network, (0, 255), tuning=Tuning(fold=True))
    with victim:
        before = victim.search(images).detach()
    with torch.no_grad():
        network.head.bias += 5
    with victim:
        torch.testing.assert_close(victim.search(images).detach(), before + 100, rtol=1e-4, atol=1e-2)


def test_choose_returns_a_search_that_agrees_and_counts_nothing():
    victim = Victim(victims.small_net(), (0, 255))
    images = victims.images()
    victim.tuning = choose(victim, images, mixed=True)
    assert (victim.forwards, victim.backwards) == (0, 0)
    assert victim.tuning.fold
    assert choose(victim, images, layout="channels_last").layout == "channels_last"
    with victim:
        assert (victim.search(images) - victim.judge(images)).abs().max() < 0.5


def test_arithmetic_that_the_processor_lacks_is_not_even_timed(monkeypatch):
    monkeypatch.setattr(timing, "has_bfloat16", lambda device: False)
    timed = []
    monkeypatch.setattr(timing, "_seconds", lambda victim, made, *_: timed.append(made) or 1.0)
    assert choose(Victim(victims.small_net(), (0, 255)), victims.images(), mixed=True).search == "float32"
    assert len(timed) == 2 and not any("bfloat16" in (one.search, one.forward_no_grad) for one in timed)


def test_state_is_restored_from_nested_use_only_once():
    network = victims.small_net().train()
    victim = Victim(network, (0, 255))
    with victim, victim:
        assert not network.training
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_answers_only_where_its_module_is_frozen():
    with pytest.raises(RuntimeError, match="with victim"):
        Victim(victims.small_net(), (0, 255)).judge(victims.images())


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (0, float("inf")), (float("nan"), 1)])
def test_impossible_bounds(bounds):
    with pytest.raises(InputError, match="bounds"):
        Victim(victims.small_net(), bounds)


def test_a_model_that_returns_no_tensor_is_named():
    class Dictionary(nn.Module):
        def forward(self, images):
            return {"logits": images}

    with Victim(Dictionary()) as victim, pytest.raises(InputError, match="dict"):
        victim.judge(torch.rand(1, 3, 4, 4))


def test_preprocess_resizes_repeats_and_normalises_differentiably():
    prepare = Preprocess(size=(4, 6), channels=3, mean=(100.0,), std=(50.0, 25.0, 10.0))
    images = torch.full((2, 1, 8, 12), 150.0, requires_grad=True)
    out = prepare(images)
    assert out.shape == (2, 3, 4, 6)
    torch.testing.assert_close(out[:, :, 0, 0], torch.tensor([[1.0, 2.0, 5.0]] * 2))
    out.sum().backward()
    assert images.grad.abs().min() > 0
    assert prepare.describe() == "resize to 4 x 6; repeat grey to 3 channels; subtract 100; divide by 50, 25, 10"


@pytest.mark.parametrize(
    ("settings", "shape", "word"),
    [
        ({"channels": 3}, (1, 2, 4, 4), "2 channels cannot be repeated"),
        ({"mean": (1.0, 2.0)}, (1, 3, 4, 4), "2 numbers for images with 3 channels"),
        ({"size": (4, 4)}, (1, 1, 4, 4, 5), "3 spatial dimensions"),
    ],
)
def test_preprocess_says_what_does_not_fit(settings, shape, word):
    with pytest.raises(InputError, match=word):
        Preprocess(**settings)(torch.zeros(shape))


def test_preprocess_refuses_a_zero_deviation():
    with pytest.raises(InputError, match="std"):
        Preprocess(std=(0.0,))


class ReadsTheNorm(nn.Module):
    """Code that looks at its own norm, which folding would have taken away."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images):
        return (self.norm(self.convolution(images)) + self.norm.weight[:, None, None]).flatten(1)


class HoldsALock(ReadsTheNorm):
    """No copy can be made of it."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class SwitchesToTraining(ReadsTheNorm):
    """Normalises by the batch whatever its mode is."""

    def forward(self, images):
        self.norm.train()
        return self.norm(self.convolution(images)).flatten(1)


@pytest.mark.parametrize("kind", [ReadsTheNorm, HoldsALock, SwitchesToTraining])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_what_cannot_be_folded_or_copied_is_searched_as_it_is(kind, layout):
    network, images = kind(), victims.images() / 255
    with Victim(network, (0, 1), tuning=Tuning(layout, fold=True)) as victim:
        searched, judged = victim.search(images), victim.judge(images)
    assert torch.allclose(searched, judged, atol=1e-5)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    ("dimensions", "norm"),
    [(2, nn.BatchNorm2d), (3, nn.BatchNorm3d), (2, nn.InstanceNorm2d), (3, nn.InstanceNorm3d)],
)
def test_masks_of_a_network_that_switches_to_training_are_attacked_with_any_tuning(dimensions, norm, whole):
    class Switching(nn.Module):
        def __init__(self):
            super().__init__()
            convolution = (nn.Conv2d, nn.Conv3d)[dimensions - 2]
            self.first, self.norm = convolution(1, 4, 3, padding=1), norm(4, track_running_stats=True)
            self.last = convolution(4, 1, 3, padding=1)

        def forward(self, images):
            (self if whole else self.norm).train()
            return self.last(self.norm(self.first(images)).relu())

    torch.manual_seed(0)
    network, images = Switching().eval(), torch.rand(3, 1, *[6] * dimensions)
    with torch.no_grad():
        masks = (network(images)[:, 0] > 0).long()
    for layout in ("contiguous", "channels_last"):
        result = bim(Linf(0.1), steps=2)(
            Victim(network, (0, 1), tuning=Tuning(layout, fold=True)), Segmentation(1), images, masks
        )
        assert result.eligible.any() and (result.margin[result.eligible] < result.clean_margin[result.eligible]).all()


def test_images_stay_as_they_are_where_the_model_computes_in_place():
    class InPlace(nn.Module):
        def forward(self, images):
            return images.mul_(2).flatten(1).relu_()

    images = victims.images() / 255
    before, place = images.clone(), images.clone().requires_grad_()
    with Victim(InPlace(), (0, 1)) as victim:
        victim.judge(images)
        slope = victim.gradient(victim.search(place).sum(1), place)
    assert torch.equal(images, before) and torch.equal(slope, torch.full_like(slope, 2.0) * (before > 0))


def test_a_norm_that_trains_inside_forward_keeps_no_other_from_being_folded():
    class Both(SwitchesToTraining):
        def __init__(self):
            super().__init__()
            self.first, self.calm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, images):
            return super().forward(self.calm(self.first(images)))

    folded = fold_batch_norms(Both().eval(), victims.images()[:2] / 255)
    assert isinstance(folded.calm, nn.Identity) and isinstance(folded.norm, nn.BatchNorm2d)
