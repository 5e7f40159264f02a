"""Every attack of the catalog that stays in its ball, under every confinement of its changes."""

import pytest
import torch
from test_attacks import subject

from palpate import catalog
from palpate.attacks.curve import curve
from palpate.checks import ATTACK_CONFINED_CONTRACTS, ContractError, check_attack_confined
from palpate.checks.attack_confined import VARIANTS, Variant, images, limits, require_confined
from palpate.checks.victims import small_net
from palpate.errors import PlanError
from palpate.streams import Streams
from palpate.tasks.classification import Classification
from palpate.threats.confined import Confined
from palpate.victim import Victim

PROJECTED = [name for name, entry in catalog.attacks().items() if entry.projected]
CONVERGES = {"lattice_oracle"}
"""The contracts that need an attack that has come to its end."""


@pytest.mark.parametrize("contract", ATTACK_CONFINED_CONTRACTS)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PROJECTED)
def test_confined_attack_keeps_contract(name, variant, contract):
    ATTACK_CONFINED_CONTRACTS[contract](subject(catalog.find(name), contract in CONVERGES), VARIANTS[variant])


@pytest.mark.parametrize("name", [name for name in catalog.attacks() if name not in PROJECTED])
def test_attacks_that_leave_the_ball_refuse_what_they_cannot_keep(name):
    with pytest.raises(PlanError, match=f"attack '{name}' leaves the ball that confines"):
        catalog.make(name, Confined(2.0, lattice=True))
    assert catalog.make(name, Confined(2.0)) is not None


@pytest.mark.parametrize("order", ["rising", "bisect", "each"])
def test_every_order_of_budgets_passes_each_image_its_own_limits(order):
    clean = images(8)
    own = limits(clean)
    own.region[::2] = own.region[::2].roll(2, dims=-1)
    victim = Victim(small_net().double(), (0.0, 255.0))
    with victim:
        labels = victim.judge(clean).argmax(1)
    variant = Variant(lattice=True, region=True)
    attack = catalog.make("bim", variant.threat("linf", 3.0))
    budgets = curve(attack, victim, Classification(4), clean, labels, [3.0, 9.0, 40.0], order=order, limits=own)
    for budget in budgets:
        change = budget.result.images - clean
        require_confined(order, variant, change, own)
        assert float(change.abs().max()) <= budget.eps
    assert 0 < int(budgets[0].result.success.sum()) < int(budgets[-1].result.success.sum())


def test_an_attack_that_shows_its_iterates_is_found_out():
    class Naive:
        """Adds noise to the whole image, whatever the threat says."""

        def __init__(self, threat):
            self.threat = threat
            self.inner = catalog.make("noise", threat)

        def __call__(self, victim, task, images, targets, **more):
            found = self.inner(victim, task, images, targets, **more)
            found.images.add_(0.1).clamp_(0, 255)
            return found

    with pytest.raises(ContractError, match="confined images"):
        check_attack_confined(Naive, gradient=False)


def test_samples_are_long_although_they_are_confined():
    """White noise would vanish under the Gaussian, and noise would be no baseline."""
    clean = torch.full((2, 3, 32, 32), 100.0)
    space = Confined(8.0, smooth=2.0).around(clean, (0.0, 255.0))
    drawn = space.to_image(space.sample(Streams([0, 1])))
    assert float(space.size(drawn).min()) > 4.0
