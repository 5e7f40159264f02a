"""The parts of the loop: the average, the schedules, batch norms, and writing weights."""

import os
import signal
from contextlib import suppress

import pytest
import torch
from torch import nn

from palpate.hardening.loop.average import Average
from palpate.hardening.loop.interrupts import Interrupts
from palpate.hardening.loop.norms import drift, fit_for, has_norms
from palpate.hardening.loop.schedules import eps_share, rate_share
from palpate.hardening.loop.weights import all_finite, copied, left_as_found, put, wearing


def test_the_average_is_the_recursion_in_its_docstring():
    layer = nn.Linear(1, 1, bias=False).double()
    layer.weight.data.fill_(1.0)
    average, expected = Average(layer, 0.5), 1.0
    for step, value in enumerate([3.0, -2.0, 5.0, 7.0, 0.0, 1.0, 2.0, 9.0, 4.0, 6.0], start=1):
        layer.weight.data.fill_(value)
        average.update(layer)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
        assert float(average.values["weight"]) == pytest.approx(expected, abs=1e-12)
    assert layer.weight == 6.0, "the module itself changes"


def test_running_statistics_are_averaged_and_counters_copied():
    norm = nn.BatchNorm1d(1)
    average = Average(norm, 0.99)
    norm.running_mean.fill_(11.0)
    norm.num_batches_tracked.fill_(7)
    average.update(norm)
    assert float(average.values["running_mean"]) == pytest.approx(9.0)  # 2/11 of 0, 9/11 of 11
    assert int(average.values["num_batches_tracked"]) == 7


def test_the_rate_rises_in_the_first_quarter_and_falls_by_a_hundred_after_it():
    rates = [rate_share(step / 100) for step in range(101)]
    assert rates.index(max(rates)) == 25
    assert (rates[0], rates[25], rates[100]) == pytest.approx((0.1, 1.0, 0.01))
    # Fast decay: two thirds of the training are spent at less than a third of the largest rate.
    assert sum(rate < 1 / 3 for rate in rates) > 60


def test_the_budget_grows_in_the_second_and_third_quarter():
    assert [eps_share("constant", done) for done in (0, 1)] == [1, 1]
    grown = [eps_share("ramp", step / 8) for step in range(9)]
    assert grown == pytest.approx([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1])


def test_one_image_uses_the_running_statistics_and_leaves_them():
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).train()
    with pytest.raises(ValueError, match="more than 1 value"):
        network(torch.ones(1, 3))
    before = copied(network)
    with fit_for(network, 1):
        network(torch.ones(1, 3)).sum().backward()
    assert network[1].training and all(torch.equal(before[name], now) for name, now in copied(network).items())
    with fit_for(network, 2):
        assert network[1].training
    with fit_for(network, 2, frozen=True):
        assert not network[1].training and network.training


def test_one_image_passes_batch_norms_of_torchscript_too():
    network = torch.jit.script(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))).train()
    assert has_norms(network)
    with fit_for(network, 1):
        assert network(torch.ones(1, 3)).shape == (1, 2)


def test_the_drift_of_a_saved_program_takes_the_eps_of_torch(tmp_path):
    """A program that was traced and saved does not say the eps of its batch norms."""
    norm = nn.BatchNorm2d(3).eval()
    torch.jit.trace(norm, torch.rand(2, 3, 4, 4)).save(tmp_path / "norm.pt")
    loaded = torch.jit.load(tmp_path / "norm.pt")
    before = copied(loaded)
    norm.running_mean[0] = 1.0
    now = copied(norm)
    assert drift(loaded, before, now) == drift(norm, before, now) > 0.9


def test_the_drift_is_in_standard_deviations_of_before():
    norm = nn.BatchNorm2d(3, eps=0.0)
    norm.running_var.copy_(torch.tensor([4.0, 1.0, 9.0]))
    before = copied(norm)
    assert drift(norm, before, copied(norm)) == 0
    norm.running_mean[0] = 1.0  # half a standard deviation
    assert drift(norm, before, copied(norm)) == pytest.approx(0.5)
    norm.running_var[2] = 36.0  # from 3 to 6: one
    assert drift(norm, before, copied(norm)) == pytest.approx(1.0)
    assert drift(nn.Linear(1, 1), {}, {}) == 0


def test_weights_are_worn_and_taken_off():
    layer = nn.Linear(2, 1)
    own = copied(layer)
    with suppress(KeyError), wearing(layer, {"weight": torch.ones(1, 2)}):
        assert layer.weight.sum() == 2 and torch.equal(layer.bias, own["bias"])
        raise KeyError
    assert torch.equal(layer.weight, own["weight"])


def test_a_module_is_left_as_it_was_found():
    layer = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)).eval()
    layer[0].bias.requires_grad_(False)
    own = copied(layer)
    with suppress(KeyError), left_as_found(layer):
        layer.train().requires_grad_(True)
        layer(torch.rand(4, 2)).sum().backward()
        put(layer, {"0.weight": torch.zeros(1, 2)})
        raise KeyError
    assert all(torch.equal(own[name], now) for name, now in copied(layer).items())
    assert not layer.training and not layer[0].bias.requires_grad and layer[0].weight.grad is None


def test_what_is_not_finite_is_named():
    norm = nn.BatchNorm1d(1)
    assert all_finite(copied(norm)) is None
    norm.running_var.fill_(float("inf"))
    assert all_finite(copied(norm)) == "running_var"


def test_the_first_signal_is_noted_and_the_second_acts():
    before = signal.getsignal(signal.SIGTERM)
    # A shell that starts the tests in the background lets them ignore Ctrl-C.
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
    signal.signal(signal.SIGINT, ctrl_c)
