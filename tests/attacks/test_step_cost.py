"""What a step of PGD does beside its passes: on one small image, each operation on a tensor counts."""

import torch

from palpate import Classification, Linf, Victim
from palpate.attacks import recipes
from palpate.checks.victims import Linear


def operations(steps):
    model = Linear(torch.ones(1, 4, 4), offset=100.0)
    attack = recipes.pgd(Linf(1e-3), steps=steps)
    with torch.autograd.profiler.profile() as profile:
        result = attack(Victim(model, (0, 255)), Classification(2), torch.full((1, 1, 4, 4), 110.0), torch.tensor([0]))
    assert not result.success.any() and result.forwards == steps + 2
    return sum(event.name.startswith("aten::") for event in profile.function_events)


def test_a_step_takes_few_operations_beside_the_passes():
    # Nearly half of them are the passes themselves.
    assert (operations(7) - operations(2)) / 5 <= 120
