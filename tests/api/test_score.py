"""Robust accuracy as a metric and as a callback of Lightning."""

import pytest
import torch

import palpate
from tests.api.worlds import Middle, images_and_labels

IMAGES, LABELS = images_and_labels()


def test_a_metric_over_batches_is_the_figure_over_all_images():
    metric = palpate.RobustScore(eps=0.055, attacks="noise", tries=2, seed=5)
    model = Middle()
    with pytest.raises(palpate.InputError, match=r"there was no batch. Call update\(model, x, y\)"):
        metric.compute()
    metric.update(model, IMAGES[:5], LABELS[:5])
    batch = metric(Middle(), IMAGES[5:], LABELS[5:])
    whole = palpate.evaluate(model, IMAGES, LABELS, eps=0.055, attacks="noise", tries=2, seed=5)
    assert metric.table() == whole
    assert metric.compute() == pytest.approx(whole.robust_accuracy()) and batch == pytest.approx(2 / 3)
    metric.reset()
    metric.update(model, IMAGES[:1], LABELS[:1])
    assert metric.table().worst[0].images == 1
    several = palpate.RobustScore(eps=[0.025, 0.055], attacks="fgsm")
    assert several(model, IMAGES, LABELS).tolist() == [5 / 8, 2 / 8]
    with pytest.raises(palpate.InputError, match=r"epsilon: .* calls it 'eps'"):
        palpate.RobustScore(epsilon=0.1)


def test_it_is_a_metric_of_a_collection_where_torchmetrics_is_installed():
    torchmetrics = pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    robust = palpate.RobustScore(eps=0.055, attacks="fgsm")
    found = torchmetrics.MetricCollection({"clean": torchmetrics.MeanMetric(), "robust": robust}).clone(prefix="val_")
    model = Middle()
    for part in (slice(5), slice(5, None)):
        found.update(value=1.0, model=model, x=IMAGES[part], y=LABELS[part])
    assert {name: float(value) for name, value in found.compute().items()} == {"val_clean": 1.0, "val_robust": 2 / 8}
    assert not [*found.parameters()]
    found.reset()
    assert "0 images" in repr(found["robust"])


class Trainer:
    """Calls the hooks of a callback as Lightning's trainer does: by name, without gradients, after a sanity check."""

    def __init__(self, callbacks):
        self.callbacks, self.sanity_checking, self.current_epoch = callbacks, False, 0

    def call(self, hook, module, *given):
        for callback in self.callbacks:
            if (found := getattr(callback, hook, None)) is not None:
                found(self, module, *given)

    @torch.inference_mode()
    def validate(self, module, loader, sanity=False):
        self.sanity_checking = sanity
        module.eval()
        self.call("on_validation_epoch_start", module)
        for index, batch in enumerate(loader):
            batch = [part + 0 for part in batch]  # made in inference mode, as on a device
            self.call("on_validation_batch_end", module, None, batch, index)
        self.call("on_validation_epoch_end", module)
        module.train()


class Module(Middle):
    def __init__(self):
        super().__init__()
        self.logged = {}

    def log(self, name, value, **settings):
        self.logged[name] = value


def test_the_callback_logs_robust_accuracy_of_the_first_validation_images():
    loader = [(IMAGES[:3], LABELS[:3]), (IMAGES[3:], LABELS[3:])]
    trainer, module = Trainer([palpate.RobustnessCallback(eps=0.055, steps=2, images=6, every=2)]), Module()
    trainer.validate(module, loader, sanity=True)
    assert not module.logged
    trainer.validate(module, loader)
    assert module.logged == {"robust_accuracy": pytest.approx(1 / 6)}
    module.logged.clear()
    trainer.current_epoch = 1
    trainer.validate(module, loader)
    assert not module.logged
    several, trainer.current_epoch = palpate.RobustnessCallback(eps=["4/255", 0.055], attacks="fgsm", name="robust"), 0
    trainer.callbacks = [several]
    trainer.validate(module, loader)
    assert module.logged == {"robust_4/255": pytest.approx(6 / 8), "robust_0.055": pytest.approx(2 / 8)}
    with pytest.raises(palpate.InputError, match="a batch has 3 parts"):
        trainer.validate(module, [(*loader[0], LABELS)])


def test_it_is_a_callback_of_the_lightning_that_is_in_use(monkeypatch):
    import importlib
    import sys

    from palpate.api import lightning

    library = type(sys)("pytorch_lightning")
    library.Callback = type("Callback", (), {})
    monkeypatch.setitem(sys.modules, "pytorch_lightning", library)
    try:
        assert issubclass(importlib.reload(lightning).RobustnessCallback, library.Callback)
    finally:
        monkeypatch.undo()
        importlib.reload(lightning)
