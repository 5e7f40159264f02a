"""ALMA-prox, against the smallest changes of masks in closed form."""

import math

import pytest
import torch

from palpate import catalog
from palpate.attacks.minimum.alma import AlmaProx, _clipping, _slope
from palpate.checks import victims
from palpate.contracts import Limits
from palpate.errors import InputError, PlanError
from palpate.tasks.masks.goals import Degrade, Erase
from palpate.tasks.segmentation import Segmentation
from palpate.threats.ball import L2, Linf
from palpate.threats.confined import Confined
from palpate.victim import Victim

OFFSETS = (torch.arange(64, dtype=torch.float64).mul(37).remainder(64) + 1).reshape(1, 8, 8) / 8
LABELS = torch.ones(2, 8, 8, dtype=torch.int64)
LABELS[:, 2:4] = 255
IMAGES = torch.full((2, 3, 8, 8), victims.LEVEL, dtype=torch.float64)


def smallest(share):
    counted = OFFSETS[0, LABELS[0] == 1].sort().values
    return float(counted[math.ceil(share * len(counted) - 1e-9) - 1])


@pytest.mark.parametrize(("goal", "share"), [(Degrade(), 2 / 3), (Erase(0, left=0.05), 0.95)])
def test_the_smallest_change_of_a_mask_is_the_offset_of_the_last_pixel_that_must_fall(goal, share):
    victim, task = Victim(victims.PixelLinear(OFFSETS), (0, 255)), Segmentation(1, goal=goal)
    found = AlmaProx(Linf(40.0), 120)(victim, task, IMAGES, LABELS)
    exact = smallest(share)
    assert bool(found.success.all())
    assert bool((found.radius >= exact).all() and (found.radius <= exact * 1.06).all())
    assert torch.allclose(found.radius, found.distance)
    below = AlmaProx(Linf(exact * 0.99), 40)(victim, task, IMAGES, LABELS)
    assert not bool(below.success.any()) and bool(below.radius.isinf().all())


def test_on_the_lattice_the_change_is_a_whole_number_of_steps():
    victim, task = Victim(victims.PixelLinear(OFFSETS), (0, 255)), Segmentation(1)
    steps = Limits(step=torch.full((2,), 2.0, dtype=torch.float64))
    found = AlmaProx(Confined(40.0, lattice=True), 120)(victim, task, IMAGES, LABELS, limits=steps)
    assert bool(found.success.all())
    assert torch.equal(found.radius, (found.radius / 2).round() * 2)
    assert bool((found.radius >= 6.0).all())


def test_the_proximal_step_cuts_off_its_weighted_length():
    generator = torch.Generator().manual_seed(0)
    change = torch.randn(3, 2, 4, 4, generator=generator, dtype=torch.float64)
    metric = torch.rand(3, 2, 4, 4, generator=generator, dtype=torch.float64) + 0.1
    length = _clipping(change, metric, torch.tensor([0.5, 2.0, 1e3], dtype=torch.float64))
    cut = ((change.abs() - length.reshape(-1, 1, 1, 1)).clamp(min=0) * metric).flatten(1).sum(1)
    assert cut[:2].tolist() == pytest.approx([0.5, 2.0])
    assert float(length[2]) == pytest.approx(0.0, abs=1e-9)
    # It minimises length + |clip(d) - d|_H^2 / (2 stride): no other length does better.
    objective = [
        float(0.5 * one + (((change[0].abs() - one).clamp(min=0)).square() * metric[0]).sum() / 2)
        for one in (float(length[0]) * factor for factor in (0.97, 1.0, 1.03))
    ]
    assert objective[1] == min(objective)


def test_the_slope_is_the_derivative_of_the_penalty():
    held = torch.linspace(-2, 2, 41, dtype=torch.float64)
    penalty, multiplier = torch.full_like(held, 1.7), torch.full_like(held, 0.6)

    def value(y):
        above = multiplier * y + multiplier * penalty * y**2 + penalty**2 * y**3 / 6
        return torch.where(y >= 0, above, multiplier * y / (1 - penalty.clamp(min=1) * y.clamp(max=0)))

    numeric = (value(held + 1e-6) - value(held - 1e-6)) / 2e-6
    assert torch.allclose(_slope(held, penalty, multiplier), numeric, atol=1e-4)


def test_other_tasks_norms_and_settings_are_refused():
    with pytest.raises(PlanError, match="attacks segmentation, not classification"):
        catalog.check_supports("alma-prox", "classification", targeted=False)
    with pytest.raises(PlanError, match="searches linf balls, not l2"):
        catalog.make("alma-prox", L2(1.0))
    with pytest.raises(InputError, match="step: 0 must be above 0"):
        catalog.make("alma-prox", Linf(1.0), step=0.0)
