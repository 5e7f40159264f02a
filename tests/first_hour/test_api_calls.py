"""Calls that people write in a notebook: each ends in the right figure, or in a sentence with the fix."""

import warnings

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


def attack(model, change=lambda images: images, count=8, **given):
    images = torch.full((8, 1, 32, 32), 0.3)
    images[1::2, :, 8:24, 8:24] += 0.35
    labels = torch.tensor([0, 1] * 4)
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
    ],
    ids=["one logit", "sigmoid", "softmax", "bytes", "text", "function", "no_grad"],
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
    ],
    ids=["sigmoid", "softmax", "squeeze", "squeeze one", "bytes"],
)
def test_what_gives_no_figure_gives_a_sentence(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_field_that_writes_out_another_is_answered_with_it(tmp_path):
    from palpate.audit.plan import load_plan
    from tests.audit.tiny import PLAN, write

    write(tmp_path / "tiny")
    (tmp_path / "tiny" / "plan.toml").write_text(PLAN.replace("eps = [", "epsilon = ["))
    with pytest.raises(InputError, match="Did you mean 'eps'"):
        load_plan(tmp_path / "tiny" / "plan.toml")
