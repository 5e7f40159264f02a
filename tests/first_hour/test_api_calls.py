"""Calls that people write in a notebook: each ends in the right figure, or in a sentence with the fix."""

import warnings
from functools import partial

import pytest
import torch
from torch import nn

import palpate
from palpate.errors import InputError


class Middle(nn.Module):
    """Whether the middle of an image is bright."""

    def __init__(self, how):
        super().__init__()
        self.how, self.scale = how, nn.Parameter(torch.tensor(20.0))

    def forward(self, images):
        return self.how((images.mean(1)[:, 8:24, 8:24].mean((1, 2)) - 0.47) * self.scale)


def two(logit):
    return torch.stack([-logit, logit], 1)


def attack(model, change=lambda images: images, count=8, labels=None, **given):
    images = torch.full((8, 1, 32, 32), 0.3)
    images[1::2, :, 8:24, 8:24] += 0.35
    labels = torch.tensor([0, 1] * 4) if labels is None else labels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return palpate.attack(
            model, change(images[:count]), labels[:count], "pgd", **{"eps": 0.3, "steps": 10, **given}
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda: attack(Middle(lambda logit: logit[:, None])),
        lambda: attack(Middle(lambda logit: logit.sigmoid()[:, None]), outputs="sigmoid"),
        lambda: attack(Middle(lambda logit: two(logit).softmax(1)), outputs="softmax"),
        lambda: attack(Middle(two), lambda images: (images * 255).byte(), eps=76, bounds=(0, 255), preprocess=scaled),
        lambda: attack(Middle(two), eps="77/255"),
        lambda: attack(lambda images: Middle(two)(images + 0)),
        lambda: torch.no_grad()(attack)(Middle(two)),
        lambda: attack(Middle(lambda logit: {"out": {"logits": two(logit)}}), output="out.logits"),
        lambda: attack(Middle(lambda logit: (logit, two(logit).softmax(1))), output=1, outputs="softmax"),
        lambda: attack(Middle(lambda logit: logit[:, None]), labels=torch.tensor([[0.0], [1.0]] * 4)),
        lambda: attack(palpate.Victim(Middle(two))),
    ],
    ids=[
        "one logit",
        "sigmoid",
        "softmax",
        "bytes",
        "text",
        "function",
        "no_grad",
        "dict",
        "tuple",
        "floats",
        "victim",
    ],
)
def test_the_figure_is_that_of_the_model(call):
    result = call()
    assert (result.robust_accuracy, result.success_rate) == (0.0, 1.0)


def scaled(images):
    return images / 255


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: attack(Middle(lambda logit: logit.sigmoid()[:, None])), r'outputs = "sigmoid"'),
        (lambda: attack(Middle(lambda logit: two(logit).softmax(1))), r'outputs = "softmax"'),
        (lambda: attack(Middle(lambda logit: logit[:, None].squeeze())), r"\.squeeze\(1\)"),
        (lambda: attack(Middle(lambda logit: two(logit).squeeze()), count=1), r"\.squeeze\(1\)"),
        (lambda: attack(Middle(two), lambda images: (images * 255).byte()), r"bounds=\(0, 255\)"),
        (lambda: attack(Middle(lambda logit: {"a": two(logit)})), r'output="a" in palpate\.attack'),
        (lambda: attack(Middle(two), output="a"), r"Leave model\.output out"),
        (lambda: attack(Middle(lambda logit: {"a": two(logit)}), output="b"), r"Name one of its parts"),
        (lambda: attack(Middle(lambda logit: two(logit)[..., None])), r"outputs\.flatten\(1\)"),
        (lambda: attack(Middle(two), lambda images: images / 0), r"NaN or infinity.*nan_to_num"),
        (lambda: attack(Middle(two), lambda images: images[:, 0]), r"images\[:, None\]"),
        (lambda: attack(palpate.Victim(Middle(two)), bounds=(0, 255)), r"bounds: a Victim has its own"),
        (lambda: attack(palpate.Victim(Middle(two)), preprocess=scaled), r"preprocess: a Victim has its own"),
        (lambda: attack(Middle(two), preprocess=3), r"preprocess: 3 cannot be called"),
        (lambda: attack(Middle(two), labels=torch.eye(2)[[0, 1] * 4]), r"labels\.argmax\(1\)"),
        (lambda: attack(lambda images: Middle(two)(torch.from_numpy(images.numpy()))), r"numpy inside forward"),
    ],
    ids=[
        *("sigmoid", "softmax", "squeeze", "squeeze one", "bytes", "dict", "no dict", "no part", "axes", "nan"),
        *("no channels", "victim bounds", "victim preprocess", "preprocess", "one-hot", "numpy"),
    ],
)
def test_what_gives_no_figure_gives_a_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_one_answer_to_images_of_two_classes_is_warned_of():
    with pytest.raises(UserWarning, match="answers class 0 to all 8 images"):
        attack(Middle(lambda logit: nn.functional.logsigmoid(logit)[:, None]))


class Pipeline:
    """A model that is no module, and holds one."""

    def __init__(self, network):
        self.parts = {"networks": [network]}

    def __call__(self, images):
        return read(self.parts["networks"][0], images)

    def predict(self, images):
        return self(images)


def read(network, images):
    assert not network.training
    return network(images)


@pytest.mark.parametrize(
    "wrapped",
    [
        Pipeline,
        lambda network: Pipeline(network).predict,
        lambda network: partial(read, network),
        lambda network: lambda images, given=network: read(given, images),
        lambda network: [lambda images, held={"a": (network,)}: read(held["a"][0], images)][0],
    ],
    ids=["object", "method", "partial", "default", "table"],
)
def test_a_module_inside_an_object_is_evaluated_and_left_in_its_mode(wrapped):
    network = Middle(two).train()
    assert attack(wrapped(network)).robust_accuracy == 0.0
    assert network.training


def test_a_field_that_writes_out_another_is_answered_with_it(tmp_path):
    from palpate.audit.plan.plan import load_plan
    from tests.audit.tiny import PLAN, write

    write(tmp_path / "tiny")
    (tmp_path / "tiny" / "plan.toml").write_text(PLAN.replace("eps = [", "epsilon = ["))
    with pytest.raises(InputError, match="palpate's is called 'eps'"):
        load_plan(tmp_path / "tiny" / "plan.toml")
