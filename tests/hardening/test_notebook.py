from dataclasses import replace

import pytest
import torch
from torch import nn

import palpate
from palpate.api.hardening import settings_of
from palpate.errors import InputError
from tests.hardening import tiny


def data(count=40):
    images = torch.stack([torch.from_numpy(tiny.pixels(n)).float() for n in range(count)])[:, None]
    return images, torch.arange(count) % 2


def model():
    module = tiny.network()
    module.load_state_dict(tiny._trained())
    return module.eval()


def prepared(images):
    return (images - 127.5) / 127.5


def call(module, images, labels, *recipe, **fields):
    given = {"eps": 8.0, "bounds": (0, 255), "preprocess": prepared, "epochs": 2, "batch": 8} | fields
    return palpate.harden(module, images, labels, *recipe, **given)


def test_a_copy_is_trained_and_the_module_is_not_changed():
    module, (images, labels) = model(), data()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    found = call(module, images, labels, groups=[n // 2 for n in range(40)])
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not found.module.training
    assert [row.epoch for row in found.epochs] == [0, 1, 2]
    chosen = replace(found, trained=replace(found.trained, best=2)).describe()
    assert chosen.startswith("Epoch 2 was chosen: robust score ")
    kept = replace(found, trained=replace(found.trained, best=0)).describe()
    assert kept.startswith("No epoch was more robust ") and f"robust score {found.epochs[0].robust:.3f}" in kept
    patients = {row // 2 for row in found.validation}
    assert all(n in found.validation for patient in patients for n in (2 * patient, 2 * patient + 1))


def test_the_same_call_gives_the_same_weights_and_validation_may_be_given():
    images, labels = data()
    one, two = (
        call(model(), images[:30], labels[:30], "pgd", settings={"steps": 2}, validation=(images[30:], labels[30:]))
        for _ in range(2)
    )
    assert one.validation == ()
    for name, value in one.module.state_dict().items():
        assert torch.equal(two.module.state_dict()[name], value)


LINEAR = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
OPTIMISER = "Give a function that makes one: optimiser=lambda"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"loss": nn.CrossEntropyLoss()}, r"loss: CrossEntropyLoss returned .* shape \[\] for 8 images"),
        ({"loss": lambda *_: None}, "loss: <lambda> returned NoneType for 8 images"),
        ({"loss": lambda *_: 1 / 0}, "loss: <lambda> fails with ZeroDivisionError"),
        ({"loss": "focal"}, "loss: it is of type str. Give a function of outputs and targets"),
        ({"optimiser": lambda parameters: None}, f"optimiser: <lambda> returned NoneType. {OPTIMISER}"),
        ({"optimiser": lambda parameters: 1 / 0}, "optimiser: <lambda> fails with ZeroDivisionError"),
        ({"optimiser": torch.optim.SGD(LINEAR.parameters(), 0.1)}, f"optimiser: it is of type SGD. {OPTIMISER}"),
        ({"eps": [1.0, 2.0]}, "eps: there are several"),
        ({"threat": palpate.Linf(8.0)}, "threat: it must be a function of the budget"),
        ({"threat": lambda eps: 1 / 0}, "threat: it fails with ZeroDivisionError"),
        ({"threat": lambda eps: None}, "threat: it returned NoneType"),
        ({"limits": 3}, "limits: it is of type int"),
        ({"module": lambda images: LINEAR(images) * 2}, "module: a function cannot be trained, because its copy"),
        ({"module": nn.Sequential(nn.Flatten(), nn.LazyLinear(2))}, "model: a lazy layer"),
        ({"validation": data()}, "validation: 40 of its 40 images are training images too"),
        ({"validation": data()[:1]}, "validation: give two things"),
        ({"validation": (torch.zeros(4, 3, 8, 8), [0, 1, 0, 1])}, r"validation: its images have shape \[3, 8, 8\]"),
        ({"validation": (torch.full((4, 1, 8, 8), torch.nan), [0, 1, 0, 1])}, "validation: images: row 0 holds NaN"),
        ({"eps": None}, "eps: it is missing"),
        ({"epoch": 3}, "epoch: palpate.harden has no such setting"),
        ({"epochs": 0}, "epochs: "),
        ({"groups": [1, 2]}, "groups: there are 2 for 40 images"),
        ({"groups": ["p"] * 40}, "all training images are of one patient"),
        ({"recipe": "segpgd"}, "segpgd"),
    ],
)
def test_errors_name_the_argument(fields, text):
    fields = dict(fields)
    images, labels = data()
    module = fields.pop("module", None) or model()
    with pytest.raises(InputError, match=text):
        call(module, images, labels, **fields)


def test_lists_are_taken_as_settings():
    settings = settings_of("", {"class_weights": [1.0, 2.0], "mixture": [{"recipe": "fast"}, {"recipe": "pgd"}]})
    assert settings.class_weights == (1.0, 2.0) and [part.recipe for part in settings.mixture] == ["fast", "pgd"]
