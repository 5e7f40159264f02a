"""Certificates of models whose smoothed form is known on paper, and the contract with the attack on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from palpate.certificates.decisions import Decisions
from palpate.certificates.image import certify_image
from palpate.certificates.opponent import Attacker, unsmoothed
from palpate.certificates.settings import Settings
from palpate.certificates.votes import Noise, count, together
from palpate.defences.smoothing import Smoothing
from palpate.errors import InputError
from palpate.tasks.classification import Classification
from palpate.tasks.heads import Cumulative, OneLogit
from palpate.tasks.multilabel import MultiLabel
from palpate.tasks.segmentation import Segmentation
from palpate.tensors import lengths
from palpate.victim import Victim
from palpate.victim.inference import SlidingWindow
from tests.certificates.models import PixelThreshold, Plane, at_distance

HEADS = {"softmax": Classification(2), "one-logit": Classification(2, head=OneLogit()),
         "cumulative": Classification(2, head=Cumulative())}  # fmt: skip


def certified(distance, settings, *, seed=0, outputs="softmax", label=1, attack=False):
    victim = Victim(Plane(16, outputs), (0, 255))
    decisions = Decisions(HEADS[outputs], torch.tensor([label]))
    with victim:
        attacker = Attacker(victim, decisions, settings, seed) if attack else None
        return certify_image(victim.judge, decisions, at_distance(distance), settings, seed=seed, opponent=attacker)


@pytest.mark.parametrize("outputs", HEADS)
def test_the_certificate_approaches_the_exact_radius_from_below(outputs):
    found = [
        certified(8.0, Settings(10.0, samples=samples, radii=(1.0,)), outputs=outputs).radius
        for samples in (50, 400, 3000)
    ]
    assert found == sorted(found) and found[-1] < 8.0 and found[-1] > 7.2


def test_certificates_hold_as_often_as_they_say():
    """Many images at the exact distance: with a confidence of 80% at most every fifth certificate is too large."""
    settings = Settings(10.0, samples=25, select=3, confidence=0.8, radii=(1.0,))
    victim, decisions = Victim(Plane(4), (0, 255)), Decisions(Classification(2), torch.tensor([1]))
    with victim:
        radii = [
            certify_image(victim.judge, decisions, at_distance(6.0, 2), settings, seed=seed, chunks=together(64)).radius
            for seed in range(200)
        ]
    wrong = np.mean([radius > 6.0 for radius in radii])
    assert 0.05 < wrong <= 0.2 + 3 * (0.2 * 0.8 / 200) ** 0.5


def test_no_certificate_is_beaten_at_its_radius():
    settings = Settings(6.0, samples=400, select=20, radii=(2.0, 5.0, 9.0, 12.0), steps=8, draws=8)
    fell = 0
    for distance in (-3.0, 0.2, 3.0, 6.0):
        found = certified(distance, settings, attack=True, seed=int(distance * 10) + 40)
        for level in found.levels:
            assert level.least.score <= level.most.score and level.least.acceptable <= level.most.acceptable
            # The truth of this model is known: right within the distance, wrong beyond it.
            assert level.least.acceptable <= (level.radius < distance)
            assert level.most.acceptable or level.radius >= distance
            fell += not level.most.acceptable and level.radius > 0
    assert fell >= 8


def test_bounds_only_fall_with_the_radius():
    settings = Settings(6.0, samples=300, select=20, radii=(2.0, 5.0, 9.0, 12.0), steps=6, draws=4)
    for distance in (3.0, 6.0):
        levels = certified(distance, settings, attack=True).levels
        for side in ("least", "most"):
            scores = [getattr(level, side).score for level in levels]
            assert scores == sorted(scores, reverse=True)


def test_a_model_that_is_undecided_abstains():
    found = certified(0.0, Settings(10.0, samples=200, radii=(1.0,)))
    assert found.prediction == -1 and found.abstained == 1 and found.radius == 0
    assert found.levels[0].least.score == 0 and found.levels[0].most.score == 1


def test_a_wrong_decision_is_certified_as_wrong():
    found = certified(9.0, Settings(5.0, samples=200, radii=(1.0,)), label=0)
    assert found.prediction == 1 and found.radius > 0
    assert all(level.least.score == 0 and level.most.score == 0 for level in found.levels)


def test_the_noise_of_an_image_depends_on_its_seed_only():
    image, noise = at_distance(3.0), Noise(2.0, 7, "estimate")
    together_ = noise.copies(image, range(6))
    assert torch.equal(together_[[4]], noise.copies(image, [4]))
    assert not torch.equal(together_[[4]], replace(noise, purpose="select").copies(image, [4]))
    assert not torch.equal(together_[[4]], replace(noise, seed=8).copies(image, [4]))
    many = Noise(2.0, 1, "estimate").copies(torch.full((1, 1, 1, 1), 254.0), range(4000)).flatten()
    assert float(many.std()) == pytest.approx(2.0, rel=0.05) and float(many.max()) > 255  # not clipped
    assert float(many.mean()) == pytest.approx(254.0, abs=0.15)


def test_votes_do_not_depend_on_how_many_copies_are_evaluated_at_once():
    victim, decisions = Victim(Plane(16), (0, 255)), Decisions(Classification(2), torch.tensor([1]))
    with victim:
        found = [
            count(victim.judge, at_distance(1.0), Noise(5.0, 1, "x"), 50, decisions, together(size)).tolist()
            for size in (1, 7, 50)
        ]
    assert found[0] == found[1] == found[2] and np.sum(found[0]) == 50


def masks(side=6):
    """Squares of 8 above and below the threshold, and one pixel that is close to it."""
    truth = torch.zeros(1, side, side, dtype=torch.int64)
    truth[:, 2:4, 2:4] = 1
    image = 100 + 8.0 * (2 * truth - 1)[:, None]
    image[0, 0, 0, 0] = 99.5
    return truth, image.float()


def test_pixels_are_certified_within_the_radius_of_tau():
    truth, image = masks()
    settings = Settings(8.0, samples=1000, tau=0.7)
    decisions = Decisions(Segmentation(1), truth)
    found = certify_image(PixelThreshold(), decisions, image, settings, seed=3)
    (level,) = [one for one in found.levels if one.radius == settings.tau_radius]
    assert settings.tau_radius == pytest.approx(8 * 0.5244005)
    # All pixels have radius 8 but one, which has 0.5 and abstains: it may be found, so Dice is 8 / 9 at least.
    assert level.abstained == pytest.approx(1 / 36) and level.least.parts[0] == pytest.approx(35 / 36)
    assert level.least.score == pytest.approx(8 / 9) and level.least.parts[2] == pytest.approx(4 / 5)
    beyond = [one for one in found.levels if one.radius > 8]
    assert beyond and all(one.abstained == 1 and one.least.score == 0 for one in beyond)
    assert np.isnan(found.radius) and found.prediction == -1


def test_masks_are_never_certified_above_what_an_attack_leaves():
    truth, image = masks()
    settings = Settings(4.0, samples=150, select=20, radii=(4.0, 12.0, 40.0), steps=8, draws=4)
    victim = Victim(PixelThreshold(), (0, 255))
    decisions = Decisions(Segmentation(1), truth)
    attacker = Attacker(victim, decisions, settings, 3)
    with victim:
        found = certify_image(victim.judge, decisions, image, settings, seed=3, opponent=attacker)
    for level in found.levels:
        assert level.least.score <= level.most.score
        for low, high in zip(level.least.parts, level.most.parts, strict=True):
            assert low <= high
    assert found.levels[-1].most.score < 0.7 < found.levels[0].least.score
    assert attacker.backwards == 4 * 4 * 8 and attacker.forwards > attacker.backwards


def test_volumes_go_through_the_model_s_own_windows():
    truth = torch.zeros(1, 6, 6, 6, dtype=torch.int64)
    truth[:, 1:4, 1:4, 1:4] = 1
    image = (100 + 8.0 * (2 * truth - 1)[:, None]).float()
    victim = Victim(PixelThreshold(), (0, 255), inferer=SlidingWindow((4, 4, 4), batch=4))
    settings = Settings(3.0, samples=40, select=5, confidence=0.99, tau=0.6)
    with victim:
        found = certify_image(
            victim.judge, Decisions(Segmentation(1), truth), image, settings, seed=1, chunks=together(20)
        )
    assert found.levels[1].least.score == 1 and found.levels[-1].least.score == 0


def test_findings_are_certified_together():
    class Two(torch.nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :2] - 100

    image = torch.tensor([[[[108.0, 101.0, 0.0]]]])
    settings = Settings(6.0, samples=300, radii=(0.5, 4.0))
    found = certify_image(Two(), Decisions(MultiLabel(2), torch.tensor([[1, 1]])), image, settings, seed=2)
    assert found.levels[2].least.parts == (1.0, 0.0) and found.levels[2].least.score == 0.5
    assert not found.levels[2].least.acceptable and found.levels[2].abstained == 0.5


@pytest.mark.parametrize("outputs", HEADS)
def test_the_attack_stays_in_its_ball_and_wins_where_it_can(outputs):
    victim = Victim(Plane(16, outputs), (0, 255))
    settings = Settings(5.0, steps=8, draws=8)
    decisions = Decisions(HEADS[outputs], torch.tensor([1]))
    attacker = Attacker(victim, decisions, settings, 1)
    image = at_distance(4.0)
    with victim:
        found = attacker(image, 8.0, image + 100)
    # The plane is straight ahead.
    assert float((found - 100).sum() / 4) < -3
    assert float(lengths(found - image, "l2")) <= 8.0 * 1.0001 and found.min() >= 0 and found.max() <= 255
    assert victim.forwards == 0 and attacker.forwards > 0


def test_an_image_that_few_votes_take_as_beaten_is_attacked_all_the_same():
    victim, decisions = Victim(Plane(16), (0, 255)), Decisions(Classification(2), torch.tensor([1]))
    moved = []
    for seed in range(4):
        attacker = Attacker(victim, decisions, Settings(5.0, samples=400, select=1, steps=4, draws=4), seed)
        with victim:
            moved.append(float((attacker(at_distance(0.6), 5.0, None) - 100).sum() / 4))
    assert max(moved) < -2


def test_a_smoothed_model_is_not_smoothed_twice():
    plain = Victim(Plane(16), (0, 255))
    smoothed = Victim(plain.module, (0, 255), defences=(Smoothing(5.0),))
    assert unsmoothed(plain) is plain and unsmoothed(smoothed).defences == ()
    with unsmoothed(smoothed) as inside, plain:
        assert torch.equal(inside.judge(at_distance(1.0)), plain.judge(at_distance(1.0)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sigma": 0.0}, "above zero"),
        ({"samples": 0}, "at least 1"),
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"tau": 0.5}, "between 0.5 and 1"),
        ({"samples": 9}, "largest possible radius is 0. Use at least 10"),
        ({"radii": (13.0,)}, "largest possible radius is 12.32"),
        ({"radii": (-1.0, 2.0)}, "above zero"),
    ],
)
def test_settings_that_certify_nothing_are_refused(changed, said):
    with pytest.raises(InputError, match=said):
        Settings(**{"sigma": 5.0, **changed})


def test_more_decisions_need_more_samples():
    Settings(5.0, samples=10).require_possible()
    with pytest.raises(InputError, match=r"for 36 decisions together.*Use at least 16"):
        certify_image(PixelThreshold(), Decisions(Segmentation(1), masks()[0]), masks()[1], Settings(5.0, 10), seed=1)
