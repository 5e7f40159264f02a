"""Attacks that climb the mean over what happens to images: what they climb, what they keep, what they cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.decoding import decode

from palpate import catalog
from palpate.attacks import recipes
from palpate.attacks.ascent import Ascent
from palpate.attacks.best_so_far import BestSoFar
from palpate.attacks.noise import RandomNoise
from palpate.attacks.robust import robust
from palpate.audit.plan.identity import digest, encode
from palpate.checks import ATTACK_CONTRACTS, Subject, victims
from palpate.contracts import Limits
from palpate.errors import InputError
from palpate.postprocessing import parse
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.threats.confined import Confined
from palpate.units import Scale
from palpate.victim import Victim

SCALE = Scale((0.0, 255.0), step=1.0, known=True)
BLUR, JPEG = parse("blur1", SCALE), parse("jpeg75", SCALE)
BOTH = ("jpeg75", "blur1")


def small(count=8, classes=4):
    victim = Victim(victims.small_net(classes=classes), (0, 255))
    images = victims.images(count, seed=4)
    with victim:
        return victim, images, victim.judge(images).argmax(1)


def stripes(radius):
    """A linear model that looks mainly at stripes of one pixel, which smoothing takes away, and a bit at brightness."""
    images = torch.full((4, 3, 16, 16), victims.LEVEL, dtype=torch.float64)
    sign = torch.ones_like(images[0])
    sign[..., ::2] = -1
    # So flat that the loss weighs all ways alike.
    weights = 1e-4 * (sign + 0.8)
    offset = 1e-4 * 0.8 * radius * images[0].numel()
    return Victim(victims.Linear(weights, offset), (0, 255)), images, torch.zeros(len(images), dtype=torch.int64)


def margins(victim, images, labels):
    with victim:
        return Classification(2).margin(victim.judge(images), labels)


ROBUST = {
    "bim": lambda threat: robust(recipes.bim(threat), BOTH, SCALE),
    "smia": lambda threat: robust(recipes.smia(threat), ("rounded", "blur0.5"), SCALE),
    "ni": lambda threat: robust(recipes.ni(threat), ("blur1",), SCALE),
    "fgsm": lambda threat: robust(recipes.fgsm(threat), ("half",), SCALE),
    "apgd": lambda threat: robust(catalog.make("apgd-ce", threat, steps=12), ("8bit", "blur0.5"), SCALE),
}


# Shapes and types: their bounds differ from case to case, and handlings are made for one range.
@pytest.mark.parametrize("contract", sorted(set(ATTACK_CONTRACTS) - {"shapes_and_types"}))
@pytest.mark.parametrize("name", ROBUST)
def test_robust_attacks_keep_every_contract(name, contract):
    if name == "fgsm" and contract == "beats_noise":
        pytest.skip("one step along the mean gradient need not win against many random images")
    ATTACK_CONTRACTS[contract](Subject(make=ROBUST[name], random=name == "apgd"))


def test_a_step_follows_the_gradient_of_the_mean_loss():
    victim, images, labels = small()
    attack = Ascent(Linf(3.0), steps=1, random_start=False, robust_to=(BLUR, JPEG))
    seen = []
    stepped = replace(attack, step=Spy(seen))
    stepped(victim, Classification(4), images, labels)
    leaf = images.clone().requires_grad_()
    with victim:
        losses = [torch.nn.functional.cross_entropy(victim.search(x), labels, reduction="none") for x in (leaf,)]
        losses += [
            torch.nn.functional.cross_entropy(victim.search(h.soft(leaf)), labels, reduction="none")
            for h in (BLUR, JPEG)
        ]
    mean = torch.stack(losses).mean(0)
    (expected,) = torch.autograd.grad(mean.sum(), leaf)
    gradient, value = seen[0]
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-9)
    assert torch.allclose(value, mean.detach(), atol=1e-5)


class Spy:
    """A step rule that stays where it is and remembers what it was given."""

    def __init__(self, seen):
        self.seen = seen

    def init(self, images):
        return None

    def stride(self, state, step, steps):
        return 0.0

    def advance(self, images, gradient, value, state, space, step, steps):
        self.seen.append((gradient, value))
        return images, state


def test_what_it_buys_smoothing_takes_stripes_away_but_not_brightness():
    victim, images, labels = stripes(3.0)
    plain = recipes.bim(Linf(4.0), steps=10)
    ordinary = replace(plain, run_to_end=True)(victim, Classification(2), images, labels)
    lasting = robust(plain, ("blur1",), SCALE)(victim, Classification(2), images, labels)
    assert ordinary.success.all() and (margins(victim, BLUR(ordinary.images), labels) > 0).all()
    assert lasting.success.all() and (margins(victim, BLUR(lasting.images), labels) <= 0).all()


def test_every_way_is_paid_for_and_every_sample_runs_to_the_end():
    victim, images, labels = stripes(0.5)
    result = robust(recipes.bim(Linf(4.0), steps=6), BOTH, SCALE)(victim, Classification(2), images, labels)
    assert result.success.all()
    # The clean image, and three ways in six steps and at the last image.
    assert result.forwards.tolist() == [1 + 3 * 6 + 3] * len(images)
    assert result.backwards.tolist() == [3 * 6] * len(images)


def test_stabilisation_looks_at_smoothed_images_on_the_same_way():
    victim, images, labels = small()
    attack = robust(recipes.smia(Linf(2.0), steps=3), ("blur1",), SCALE)
    victim.forwards = 0
    result = attack(victim, Classification(4), images, labels)
    assert int(result.forwards.sum()) == victim.forwards
    # In each of three steps and on both ways the image and its smoothed one, and the last image.
    assert result.forwards.tolist() == [1 + 2 * 2 * 3 + 2] * len(images)


def test_the_ledger_keeps_the_winner_of_best_merit_and_until_then_the_smallest_margin():
    victim, images, labels = stripes(3.0)
    with victim:
        best_so_far = BestSoFar(victim, Classification(2), Linf(4.0), images, labels, keep_improving=True)
        rows, outputs = best_so_far.open_rows(), best_so_far.clean_outputs

        def note(offset, margin, merit):
            wanted = torch.full_like(best_so_far.clean_margin, margin)
            best_so_far.note(rows, images + offset, outputs, wanted, 1, merit=torch.full_like(wanted, merit))
            return float((best_so_far.best - images).mean())

        low = float(best_so_far.clean_margin[0])
        assert note(1.0, low / 2, -9.0) == pytest.approx(1)
        # A worse margin with a better merit does not count while nothing has won,
        assert note(2.0, low / 1.5, -99.0) == pytest.approx(1)
        # the first that wins is kept whatever its merit,
        assert note(3.0, -5.0, 8.0) == pytest.approx(3)
        # then the best merit among those that win, even at a smaller lead,
        assert note(-1.0, -0.1, 2.0) == pytest.approx(-1)
        assert note(-2.0, -7.0, 3.0) == pytest.approx(-1)
        # and never one that does not win.
        assert note(-3.0, 0.1, -50.0) == pytest.approx(-1)
        # A merit that is not a number is the worst.
        assert note(-3.5, -9.0, float("nan")) == pytest.approx(-1)


def test_a_start_that_survives_is_not_given_up_for_one_that_does_not():
    victim, images, labels = stripes(3.0)
    start = images - 4.0
    # Its own two steps are so small that they win nothing.
    attack = robust(recipes.bim(Linf(4.0), steps=2, step=1e-6), ("blur1",), SCALE)
    result = attack(victim, Classification(2), images, labels, start=start)
    assert result.success.all() and result.first_success.eq(0).all()
    assert torch.equal(result.images, start)
    assert result.forwards.tolist() == [1 + 2 + 2 * 2 + 2] * len(images)


def test_on_the_lattice_what_wins_stays_on_the_lattice():
    victim, images, labels = stripes(2.0)
    limits = Limits(step=torch.ones(len(images), dtype=images.dtype))
    attack = robust(recipes.bim(Confined(4.0, lattice=True), steps=8), ("blur1", "rounded"), SCALE)
    result = attack(victim, Classification(2), images, labels, limits=limits)
    assert result.success.all()
    change = result.images - images
    assert torch.equal(change, change.round())


def test_restarts_and_random_directions_draw_per_sample():
    victim, images, labels = small()
    attack = robust(catalog.make("di", Linf(2.0), steps=3), ("jpeg75",), SCALE)
    first, second = (
        attack(victim, Classification(4), images, labels, generator=torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(first.images, second.images)


def test_without_names_it_is_the_attack_itself():
    attack = RandomNoise(Linf(1.0))
    assert robust(attack, (), SCALE) is attack


def test_robust_attacks_have_an_identity_of_their_own():
    plain = recipes.bim(Linf(1.0))
    lasting = robust(plain, BOTH, SCALE)
    assert decode(encode(lasting)) == lasting
    assert len({digest(plain), digest(lasting), digest(robust(plain, ("blur1",), SCALE))}) == 3


@pytest.mark.parametrize(
    ("attack", "names", "said"),
    [
        (RandomNoise(Linf(1.0)), ("jpeg75", "blur1"), "RandomNoise follows no gradient.*jpeg75 or blur1"),
        (recipes.bim(Linf(1.0)), ("jpg75",), "Did you mean 'jpeg75'"),
        (recipes.bim(Linf(1.0)), ("half", "resample0.5"), "half is named twice"),
    ],
)
def test_what_cannot_be_made_robust_is_refused(attack, names, said):
    with pytest.raises(InputError, match=said):
        robust(attack, names, SCALE)


def test_handlings_for_other_bounds_are_refused():
    victim, images, labels = small()
    attack = robust(recipes.bim(Linf(1.0)), ("blur1",), Scale((-1024.0, 3071.0)))
    with pytest.raises(InputError, match=r"blur1 was made for values from -1024 to 3071, and the model takes 0 to 255"):
        attack(victim, Classification(4), images, labels)
