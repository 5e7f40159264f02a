"""How often an attack on a volume holds that volume: every copy is memory that a clinic's machine must have."""

import torch
from torch import nn

from palpate import Linf, Victim
from palpate.attacks import recipes
from palpate.tasks.masks import reading
from palpate.tasks.segmentation import Segmentation
from palpate.threats import neighbourhoods
from palpate.victim.inference import SlidingWindow

SIZE, WINDOW = 32, 16


def peak_in_volumes(work):
    """The most memory that torch held at once, in copies of one channel of the volume."""
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        work()
    held = peak = 0
    for event in profile.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak / (4 * SIZE**3)


def test_an_attack_on_a_volume_holds_few_copies_of_it(monkeypatch):
    for module in (reading, neighbourhoods):
        monkeypatch.setattr(module, "VOLUME", SIZE**3)
    network = nn.Conv3d(1, 2, 1).requires_grad_(False)
    volume = torch.rand(1, 1, SIZE, SIZE, SIZE)
    victim = Victim(network, (0, 1), inferer=SlidingWindow((WINDOW,) * 3))
    task = Segmentation(1)
    with victim:
        labels = task.predict(victim.judge(volume))
    attack = recipes.bim(Linf(0.01), steps=1, run_to_end=True)
    results = []
    # The volume itself and its labels were there before.
    assert peak_in_volumes(lambda: results.append(attack(victim, task, volume, labels))) <= 11.5
    assert results[0].images.data_ptr() != volume.data_ptr()


def test_the_loss_of_a_volume_keeps_nothing_but_its_arguments(monkeypatch):
    monkeypatch.setattr(reading, "VOLUME", 8**3)
    logits, labels = torch.randn(1, 2, 8, 8, 8, requires_grad=True), torch.randint(0, 2, (1, 8, 8, 8))
    kept = []

    def keep(tensor):
        kept.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        value = reading.frugal(nn.functional.cross_entropy, logits, labels)
    assert set(kept) <= {logits.data_ptr(), labels.data_ptr()}, "its own arguments take no further memory"
    (gradient,) = torch.autograd.grad(value, logits)
    (plain,) = torch.autograd.grad(nn.functional.cross_entropy(logits, labels), logits)
    torch.testing.assert_close(gradient, plain)
