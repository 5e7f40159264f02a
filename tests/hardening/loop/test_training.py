"""The whole loop on a tiny network: what is chosen, what is rolled back, what is refused, what is left behind."""

import math
import os
import signal
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import nn

from palpate.errors import InputError
from palpate.hardening.contracts import Course, Scores
from palpate.hardening.loop import News, Silence, train
from palpate.hardening.loop import step as step_module
from palpate.hardening.loop.weights import copied, digest
from palpate.hardening.losses.default import default_loss
from palpate.tasks.classification import Classification
from tests.hardening.loop.tiny import (
    ADAMW,
    ManySteps,
    OneStep,
    Scripted,
    Shuffled,
    course,
    cross_entropy,
    network,
)


class Heard(Silence):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rows, self.news, self.messages = [], [], []
        self.epoch, self.step, self.message = self.rows.append, self.news.append, self.messages.append


def good(robust: float = 0.5, clean: float = 0.9, single: float = 0.5) -> Scores:
    return Scores(clean, robust, single)


def better(module: nn.Module, **changes: object) -> Course:
    """A training of which every epoch is better than the one before."""
    return course(module, examiner=Scripted([good(0.2), good(0.3), good(0.4), good(0.5)]), **changes)


@dataclass
class Poisoned:
    """A training loss that is NaN at some of its calls, counted from 0."""

    calls: set[int]
    asked: int = -1
    value: float = math.nan

    def __call__(self, outputs, targets):
        self.asked += 1
        loss = cross_entropy(outputs, targets)
        return loss * self.value if self.asked in self.calls else loss


# -- what is chosen ----------------------------------------------------------------------------------------------


def test_it_gains_robustness_and_says_so(tmp_path):
    heard = Heard()
    trained = train(course(network(norm=True), epochs=6), tmp_path, heard)
    first, best = trained.epochs[0], trained.epochs[trained.best]
    assert trained.finished and trained.averaged and trained.best > 0
    assert best.robust >= first.robust + 0.3, [row.robust for row in trained.epochs]
    assert tuple(heard.rows) == trained.epochs and [row.epoch for row in trained.epochs] == list(range(7))
    last = heard.news[-1]
    assert isinstance(last, News) and (last.epoch, last.batch) == (6, 3) and last.pace > 0 and last.left >= 0
    assert trained.epochs[-1].loss < trained.epochs[1].loss
    assert best.drift > 0 and first.drift == 0 and math.isnan(first.loss) and first.eps == 0


def test_the_weights_of_the_best_epoch_come_back_and_not_the_last(tmp_path):
    script = [good(0.2), good(0.4), good(0.6), good(0.3)]
    trained = train(course(examiner=Scripted(script)), tmp_path / "three")
    shorter = train(course(examiner=Scripted(script)), tmp_path / "again")
    assert trained.best == 2 and digest(trained.state) == digest(shorter.state)
    last = train(course(examiner=Scripted([*script[:3], good(0.9)])), tmp_path / "last")
    assert last.best == 3 and digest(last.state) != digest(trained.state)


def test_if_no_epoch_is_better_the_weights_are_those_of_before(tmp_path):
    made = course(examiner=Scripted([good(0.9), good(0.5)]))
    own = made.victim.module.state_dict()
    trained = train(made, tmp_path)
    assert trained.best == 0 and not trained.averaged
    assert list(trained.state) == list(own) and all(torch.equal(trained.state[name], own[name]) for name in own)


def test_the_average_is_what_is_examined_and_chosen(tmp_path):
    seen = []

    class Watching(Scripted):
        def examine(self, victim):
            assert not victim.module.training
            seen.append(copied(victim.module))
            return super().examine(victim)

    script = [good(0.2), good(0.3), good(0.4), good(0.5)]
    trained = train(course(examiner=Watching(list(script))), tmp_path / "averaged")
    assert trained.averaged and all(torch.equal(seen[3][name], trained.state[name]) for name in trained.state)
    plain = train(course(examiner=Watching(list(script)), average=0), tmp_path / "plain")
    assert not plain.averaged and all(torch.equal(seen[7][name], plain.state[name]) for name in plain.state)
    assert digest(plain.state) != digest(trained.state)


def test_the_module_and_the_random_state_are_left_as_they_were(tmp_path):
    module = network()
    before, torch_state = copied(module), torch.get_rng_state()
    module[0].bias.requires_grad_(False)
    trained = train(better(module), tmp_path)
    assert all(torch.equal(before[name], now) for name, now in copied(module).items())
    assert not module.training and not module[0].bias.requires_grad and torch.equal(torch.get_rng_state(), torch_state)
    assert torch.equal(trained.state["0.bias"], before["0.bias"]), "a frozen weight was trained"
    assert not torch.equal(trained.state["0.weight"], before["0.weight"])


def test_crafting_sees_evaluation_mode_and_training_sees_training_mode(tmp_path):
    modes = []

    class Looking(OneStep):
        def craft(self, batch, situation):
            with situation.victim:
                modes.append(situation.victim.module.training)
            return super().craft(batch, situation)

        def loss(self, batch, crafted, situation):
            modes.append(situation.victim.module.training)
            return super().loss(batch, crafted, situation)

    train(replace(course(epochs=1), recipe=Looking()), tmp_path)
    assert modes == [False, True] * 3


def test_a_growing_budget_begins_with_images_as_they_are(tmp_path):
    seen = []

    class Looking(OneStep):
        def loss(self, batch, crafted, situation):
            seen.append(float((crafted.images - batch.images).abs().max()))
            return super().loss(batch, crafted, situation)

    made = course(epochs=4, eps_schedule="ramp", eps=8.0)
    trained = train(replace(made, recipe=Looking()), tmp_path)
    assert seen[:4] == [0] * 4 and seen[-3:] == [8] * 3
    assert seen == sorted(seen)
    assert [row.eps for row in trained.epochs] == pytest.approx([0, 0, 8 * 2 / 6, 8 * 5 / 6, 8])


def test_patience_ends_the_training(tmp_path):
    trained = train(course(examiner=Scripted([good(0.4), good(0.5), good(0.5)]), epochs=9, patience=3), tmp_path)
    assert trained.finished and len(trained.epochs) == 5 and trained.best == 1
    assert "no better robust score in 3 epochs" in trained.epochs[-1].event


# -- rollbacks ---------------------------------------------------------------------------------------------------


def test_nan_goes_back_to_the_last_epoch_names_the_place_and_goes_on_slowly(tmp_path):
    # Three calls per batch in the last eight batches (answers and two constants after the loss itself).
    heard, loss = Heard(), Poisoned({16})
    made = replace(course(examiner=Scripted([good(0.1), good(0.2), good(0.3), good(0.4)])), loss=loss)
    trained = train(made, tmp_path, heard)
    assert trained.events == (
        "Epoch 2, batch 2 of 3: the training loss is nan. Rolled back to epoch 1; the learning rate is a quarter of "
        "before.",
    )
    assert heard.messages == list(trained.events)
    assert not any(row.event for row in heard.rows), "it was said when it happened"
    assert [row.event for row in trained.epochs] == ["", "", trained.events[0], ""]
    again = Heard()
    assert train(made, tmp_path, again).events == trained.events
    assert again.rows == [] and again.messages[0].startswith("Already finished: 3 epochs, with their results in ")
    assert again.messages[1:] == list(trained.events)
    assert trained.best == 3 and all(bool(tensor.isfinite().all()) for tensor in trained.state.values())
    undisturbed = train(course(), tmp_path / "undisturbed")
    assert trained.epochs[3].rate == pytest.approx(undisturbed.epochs[3].rate / 4)


def test_an_infinite_gradient_is_caught_before_it_reaches_the_weights(tmp_path):
    class Steep(OneStep):
        def loss(self, batch, crafted, situation):
            # The square root has an infinite slope at 0, and the value 0 itself.
            rest = super().loss(batch, crafted, situation)
            return rest + (rest - rest.detach()).abs().sqrt()

    trained = train(replace(course(), recipe=Steep()), tmp_path)
    assert trained.best == 0 and len(trained.events) == 3
    assert "gradient of the weights is nan" in trained.events[0] or "is inf" in trained.events[0]


def test_the_third_nan_stops_with_the_best_epoch(tmp_path):
    trained = train(replace(course(), loss=Poisoned(set(range(12, 1000)))), tmp_path)
    assert trained.finished and len(trained.epochs) == 2
    assert [("third time" in event, "Epoch 2, batch 1" in event) for event in trained.events] == [
        (False, True), (False, True), (True, True),
    ]  # fmt: skip


def test_a_collapse_goes_back_and_trains_on_with_the_fallback(tmp_path):
    script = [good(0.3, single=0.4), good(0.5, single=0.6), good(0.0, single=0.9), good(0.55, single=0.6)]
    made, used, starts = course(examiner=Scripted(script)), [], []

    class Fallback(ManySteps):
        def craft(self, batch, situation):
            used.append(1)
            starts.append(copied(situation.victim.module))
            return super().craft(batch, situation)

    trained = train(replace(made, fallback=Fallback()), tmp_path)
    assert [row.recipe for row in trained.epochs] == ["one step", "one step", "one step", "many steps"]
    assert len(used) == 3 and trained.best == 3
    assert "catastrophic overfitting" in trained.epochs[2].event and trained.events == (trained.epochs[2].event,)
    best = train(course(examiner=Scripted([good(0.3), good(0.5), good(0.4)])), tmp_path / "best").state
    assert all(torch.equal(starts[0][name], best[name]) for name in best), "it does not start from epoch 1"


def test_the_clean_floor_goes_back_lowers_the_rate_and_then_stops(tmp_path):
    # Weak attacks and large steps, because a model that learns nothing is stopped for that.
    made = partial(course, epochs=9, eps=1.0, optimiser=partial(torch.optim.AdamW, lr=0.05))
    trained = train(made(network(dropout=False), examiner=Scripted([good(0.3), good(0.6, clean=0.5)])), tmp_path)
    assert trained.best == 0 and trained.finished and len(trained.epochs) == 5
    assert len(trained.events) == 2 and "second rollback" in trained.events[1]
    whole = train(made(network(dropout=False), examiner=Scripted([good(0.3)])), tmp_path / "whole")
    assert trained.epochs[3].rate == pytest.approx(whole.epochs[3].rate / 4)


def test_a_budget_that_hides_everything_is_named_after_the_first_epoch(tmp_path):
    trained = train(course(network(dropout=False), eps=60.0, epochs=4), tmp_path)
    assert trained.best == 0 and trained.finished
    assert "nothing can be learned at eps = 60" in trained.events[-1] and len(trained.epochs) == 2


# -- batches, formats, models ------------------------------------------------------------------------------------


def test_batches_of_one_image_do_not_break_batch_norms(tmp_path):
    module = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).eval()
    before = copied(module)
    trained = train(course(module, lessons=Shuffled(count=5, size=1), epochs=1, average=0), tmp_path)
    assert trained.epochs[1].drift == 0 and trained.finished
    mixed = train(course(module, lessons=Shuffled(count=5, size=2), epochs=1, average=0), tmp_path / "mixed")
    assert mixed.epochs[1].drift > 0
    assert all(torch.equal(before[name], now) for name, now in copied(module).items())


def test_frozen_batch_norms_keep_their_statistics_and_learn_their_scales(tmp_path):
    module = network()
    before = copied(module)
    trained = train(better(module, batch_norm="frozen"), tmp_path)
    assert [row.drift for row in trained.epochs] == [0, 0, 0, 0] and trained.best == 3
    assert all(torch.equal(trained.state[f"1.{name}"], before[f"1.{name}"]) for name in ("running_mean", "running_var"))
    assert not torch.equal(trained.state["1.weight"], before["1.weight"])
    assert not torch.equal(trained.state["0.weight"], before["0.weight"])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_only_the_training_step_is_computed_in_a_coarse_format(tmp_path, precision, caplog):
    formats = []
    module = network()
    handle = module[0].register_forward_hook(lambda part, inputs, output: formats.append((part.training, output.dtype)))
    trained = train(better(module, precision=precision), tmp_path)
    handle.remove()
    assert not caplog.records, "Fabric tells the user how it works"
    coarse = torch.bfloat16 if precision == "bfloat16" else torch.float32
    assert set(formats) == {(False, torch.float32), (True, coarse)}
    assert trained.state["0.weight"].dtype == torch.float32


def test_a_model_in_double_stays_double_and_one_in_half_is_refused(tmp_path):
    trained = train(better(network().double()), tmp_path / "double")
    assert trained.best == 3 and trained.state["0.weight"].dtype == torch.float64 and trained.finished
    with pytest.raises(InputError, match=r"its weights are float16, which is too coarse .* Store them as float32"):
        train(course(network().half(), epochs=1), tmp_path / "half")


def test_torchscript_is_trained_with_its_batch_norms(tmp_path):
    module = torch.jit.script(network(dropout=False)).eval()
    trained = train(better(module), tmp_path)
    assert trained.epochs[1].drift > 0 and trained.best == 3
    eager = train(better(network(dropout=False)), tmp_path / "eager")
    assert all(torch.allclose(trained.state[name], eager.state[name], atol=1e-4) for name in eager.state)


def test_weight_perturbation_changes_the_training_and_keeps_the_statistics(tmp_path):
    plain = train(better(network(dropout=False)), tmp_path / "plain")
    perturbed = train(better(network(dropout=False), weight_perturbation=0.05), tmp_path / "perturbed")
    assert digest(plain.state) != digest(perturbed.state)
    # The search for the perturbation is one more pass, which no batch norm may count.
    counted = "1.num_batches_tracked"
    assert perturbed.state[counted] == plain.state[counted] == 9


def test_shared_weights_stay_shared(tmp_path):
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(36, 36, bias=False)
            self.two = self.one
            self.last = nn.Linear(36, 2)

        def forward(self, images):
            return self.last(self.two(self.one(images.flatten(1)).relu()).relu())

    trained = train(better(Shared().eval()), tmp_path)
    assert list(trained.state) == ["one.weight", "two.weight", "last.weight", "last.bias"]
    assert torch.equal(trained.state["one.weight"], trained.state["two.weight"])


# -- what cannot be trained --------------------------------------------------------------------------------------


def test_a_model_without_weights_to_train_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="parameters are frozen"):
        train(course(network().requires_grad_(False)), tmp_path)
    with pytest.raises(InputError, match="no parameters"):
        train(course(nn.Sequential(nn.Flatten(), nn.Softmax(1))), tmp_path)


def test_a_loss_without_a_gradient_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"the training loss has no gradient in the model's weights"):
        train(replace(course(), loss=lambda outputs, targets: cross_entropy(outputs, targets).detach()), tmp_path)
    with pytest.raises(InputError, match="gradient of the training loss is zero in all weights"):
        train(replace(course(), loss=lambda outputs, targets: 0 * cross_entropy(outputs, targets)), tmp_path / "zero")


def test_an_error_of_the_model_in_training_is_a_sentence(tmp_path):
    class Fails(nn.Sequential):
        def forward(self, images):
            if self.training:
                raise IndexError("no such layer")
            return super().forward(images)

    with pytest.raises(InputError, match="model: in training mode it fails with IndexError: no such layer"):
        train(course(Fails(*network())), tmp_path)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda logits: (logits, logits), "it returned a tuple"),
        (lambda logits: {"out": logits, "aux": logits}, "it returned a dict"),
        (lambda logits: logits[:, :1], "its output has shape .8, 1. for 8 images"),
    ],
    ids=["tuple", "dict", "shape"],
)
def test_other_answers_in_training_mode_are_a_sentence(tmp_path, answer, text):
    class Deep(nn.Sequential):
        def forward(self, images):
            logits = super().forward(images)
            return answer(logits) if self.training else logits

    given = replace(course(Deep(*network())), loss=default_loss(Classification(2)))
    with pytest.raises(InputError, match=rf"model: in training mode {text}.*without auxiliary outputs") as error:
        train(given, tmp_path)
    assert "model.output" not in str(error.value)


def test_a_fault_that_is_not_the_models_stays_a_fault(tmp_path):
    def wrong(outputs, targets):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(replace(course(), loss=wrong), tmp_path)


def test_annotations_that_an_own_augmentation_spoils_are_named(tmp_path):
    class Wrong(Shuffled):
        @property
        def data(self):
            pixels, labels = super().data
            return pixels, labels + 7

    given = replace(course(lessons=Wrong(), augment="own.py:change"), loss=default_loss(Classification(2)))
    with pytest.raises(InputError, match=r"harden.augment: own.py:change returned annotations that are wrong: labels"):
        train(given, tmp_path)


def test_an_optimiser_that_cannot_step_or_moves_nothing_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"harden.optimiser: its step fails with TypeError: .*closure"):
        train(course(optimiser=torch.optim.LBFGS), tmp_path)
    with pytest.raises(InputError, match=r"harden.optimiser: it holds none of the model's weights"):
        train(course(optimiser=lambda _: torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.1)), tmp_path / "other")


def test_too_little_memory_names_the_batch(tmp_path):
    def greedy(outputs, targets):
        raise MemoryError

    with pytest.raises(InputError, match=r"harden.batch: a training step of 8 images does not fit into memory"):
        train(replace(course(), loss=greedy), tmp_path)


# -- interruptions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_the_next_batch_and_the_next_call_goes_on(tmp_path, number):
    class Signals(Heard):
        def __init__(self) -> None:
            super().__init__()
            self.step = self.told

        def told(self, news):
            self.news.append(news)
            if len(self.news) == 5:
                os.kill(os.getpid(), number)

    heard = Signals()
    stopped = train(course(), tmp_path / "stopped", heard)
    assert not stopped.finished and len(heard.news) == 5 and len(stopped.epochs) == 2
    assert heard.messages == ["Stopped in epoch 2 after batch 2 of 3."]
    resumed = train(course(), tmp_path / "stopped")
    assert (
        resumed.finished and resumed.best and digest(resumed.state) == digest(train(course(), tmp_path / "whole").state)
    )


def test_large_gradients_are_shortened(tmp_path, monkeypatch):
    norms = []
    plain = torch.optim.SGD.step

    class Watching(torch.optim.SGD):
        def step(self, closure=None):
            norms.append(float(torch.stack([p.grad.norm() for g in self.param_groups for p in g["params"]]).norm()))
            return plain(self, closure)

    made = replace(course(optimiser=partial(Watching, lr=1e-6), epochs=1), loss=lambda o, t: 1e4 * cross_entropy(o, t))
    train(made, tmp_path)
    assert norms == pytest.approx([step_module.CLIP] * 3, rel=1e-3)
    assert ADAMW.keywords == {"lr": 0.01}
