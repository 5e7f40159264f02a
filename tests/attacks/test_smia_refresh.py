"""SMIA that computes its smoothed image rarely, and takes its outputs from a line in between."""

from dataclasses import fields, replace
from typing import ClassVar

import pytest
import torch

from palpate import Classification, InputError, Linf, Victim
from palpate.attacks import recipes
from palpate.attacks.objectives import SparselyStabilised
from palpate.checks import victims


class Watched(SparselyStabilised):
    """Notes how far what stands for the smoothed outputs is from them, and how far these are from the iterate's."""

    seen: ClassVar = []

    def reference(self, inputs):
        found = super().reference(inputs)
        real = inputs.forward_no_grad(self.smoothed(inputs).detach())
        self.seen.append(tuple(float((other - real).abs().max()) for other in (found, inputs.outputs.detach())))
        return found


def attacked(attack, model, images, labels):
    return attack(Victim(model, (0, 255)), Classification(4), images, labels)


def test_on_a_linear_model_the_line_passes_through_every_smoothed_output():
    torch.manual_seed(0)
    model = victims.Linear(torch.randn(1, 8, 8, dtype=torch.float64) + 1, offset=300.0)
    attack = recipes.smia(Linf(8.0), steps=10, refresh=4, step=0.1)
    settings = {field.name: getattr(attack.objective, field.name) for field in fields(attack.objective)}
    watched = replace(attack, objective=Watched(**settings), run_to_end=True)
    Watched.seen.clear()
    images = torch.full((1, 1, 8, 8), 110.0, dtype=torch.float64)
    watched(Victim(model, (0, 255)), Classification(2), images, torch.tensor([0]))
    errors, distances = zip(*Watched.seen, strict=True)
    assert len(errors) == 10 and max(errors) < 1e-9
    assert min(distances[1:]) > 1


def test_passes_are_saved_and_rows_that_leave_change_nothing():
    model = victims.small_net().double()
    images = victims.images(4).double()
    with torch.no_grad():
        labels = model(images).argmax(1)
    rare, exact = (recipes.smia(Linf(4.0), steps=10, refresh=n) for n in (4, 1))
    found = attacked(rare, model, images, labels)
    # The clean image, ten steps, three smoothed images, the last iterate.
    assert found.forwards.max() == 15 and attacked(exact, model, images, labels).forwards.max() == 22
    assert 0 < found.success.sum() < 4
    for row in range(4):
        alone = attacked(rare, model, images[row : row + 1], labels[row : row + 1])
        assert float((alone.images[0] - found.images[row]).abs().max()) < 1e-9


@pytest.mark.parametrize("wrong", [{"refresh": 0}, {"refresh": 4, "smooth": "image"}, {"refresh": 4, "through": True}])
def test_what_cannot_be_skipped_is_refused(wrong):
    with pytest.raises(InputError, match="refresh"):
        recipes.smia(Linf(1.0), **wrong)
