"""Preprocessing inside a victim: attacks climb through it, or are told what is in the way."""

import pytest
import torch
from monai.transforms import HistogramNormalize, Lambda, ScaleIntensity
from torch import Tensor, nn

from palpate import catalog
from palpate.audit.subject.preflight import preflight
from palpate.contracts import AttackResult
from palpate.errors import InputError
from palpate.preprocess import Chain, MonaiChain, PerImage, Resample, Resize, ToRGB, Window
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim

TASK = Classification(2)
COUNT = 6


def network(channels: int = 1, size: int = 8) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(channels, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * (size - 2) ** 2, 2)
        ).eval()


def images(size: int = 8) -> Tensor:
    return torch.rand(COUNT, 1, size, size, generator=torch.Generator().manual_seed(0)) * 255


def attacked(victim: Victim, eps: float = 8.0) -> AttackResult:
    given = images(16)
    with victim:
        own = TASK.predict(victim.judge(given))
    attack = catalog.make("pgd", Linf(eps), steps=10)
    return attack(victim, TASK, given, own, generator=torch.Generator().manual_seed(0))


def rounded(image: Tensor) -> Tensor:
    return (image / 8).round()


def monai(*transforms: object, straight_through: bool = False) -> MonaiChain:
    return MonaiChain("t.py:f", "", straight_through, compose=list(transforms))


def test_an_attack_climbs_through_every_kind_of_step() -> None:
    chain = Chain((Window(0.0, 200.0), Resample((2.0, 2.0), (1.0, 1.0)), ToRGB(3), PerImage("zscore"), Resize((8, 8))))
    result = attacked(Victim(network(3), (0, 255), preprocess=chain))
    assert (result.margin < result.clean_margin).all() and not result.blocked_gradient.any()


@pytest.mark.parametrize("transform", [HistogramNormalize(num_bins=64), Lambda(rounded)], ids=["histogram", "rounding"])
def test_straight_through_moves_what_could_not_be_moved(transform: object) -> None:
    """Against the same network, whose preprocessing computes the same: nothing without, the margin falls with it."""
    plain = Victim(network(size=16), (0, 255), preprocess=monai(transform, ScaleIntensity()))
    through = Victim(network(size=16), (0, 255), preprocess=monai(transform, ScaleIntensity(), straight_through=True))
    if isinstance(transform, HistogramNormalize):
        with pytest.raises(InputError, match=r"no gradient flows.*step HistogramNormalize"):
            attacked(plain)
    else:
        assert attacked(plain).blocked_gradient.all()
    moved = attacked(through)
    with plain:
        noise = catalog.make("noise", Linf(8.0), tries=10)
        lucky = noise(plain, TASK, images(16), moved.clean_prediction, generator=torch.Generator().manual_seed(0))
    assert not moved.blocked_gradient.any()
    assert moved.margin.mean() < lucky.margin.mean() < moved.clean_margin.mean()
    assert torch.equal(moved.clean_margin, lucky.clean_margin)


def test_the_place_is_named() -> None:
    given = images()
    blocking = monai(ScaleIntensity(), HistogramNormalize())
    detached = nn.Sequential(network(), Detached()).eval()
    with Victim(network(), (0, 255), preprocess=blocking) as victim:
        said = victim.where_blocked(given)
        assert said is not None and said.startswith("the preprocessing step HistogramNormalize blocks gradients")
        assert (victim.forwards, victim.backwards) == (0, 0)
        place = given.clone().requires_grad_()
        with pytest.raises(InputError, match=r"no gradient flows.*HistogramNormalize.*straight_through = true.*noise"):
            victim.gradient(victim.search(place).sum(1), place)
    for module in (detached, nn.Sequential(network(), Rounded()).eval()):
        with Victim(module, (0, 255), preprocess=Chain((Window(0.0, 255.0),))) as victim:
            said = victim.where_blocked(given)
            assert said is not None and said.startswith("the model blocks gradients")
    with Victim(network(), (0, 255), preprocess=Chain((Window(300.0, 400.0),))) as victim:
        said = victim.where_blocked(given)
        assert said is not None and said.startswith("the preprocessing step Window blocks gradients")
    with Victim(network(), (0, 255), preprocess=lambda given: given.detach()) as victim:
        said = victim.where_blocked(given)
        assert said is not None and said.startswith("the preprocessing step <lambda> blocks gradients")
    with Victim(network(), (0, 255)) as victim:
        assert victim.where_blocked(given) is None


class Detached(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits.detach()


class Rounded(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits.round()


def test_the_preflight_warns_of_straight_through_and_fails_without_it() -> None:
    given = images(16)
    for straight_through in (False, True):
        preprocess = monai(HistogramNormalize(), ScaleIntensity(), straight_through=straight_through)
        victim = Victim(network(size=16), (0, 255), preprocess=preprocess)
        with victim:
            targets = TASK.predict(victim.judge(given))
        found = [
            one for one in preflight(victim, TASK, given, targets) if one.subject in ("gradients", "preprocessing")
        ]
        assert len(found) == 1
        if straight_through:
            assert found[0].level == "warning" and "HistogramNormalize blocks gradients" in found[0].text
        else:
            assert found[0].level == "failure" and "step HistogramNormalize" in found[0].text
            assert "straight_through = true" in found[0].text and "noise" in found[0].text
