"""A surrogate of a plan: what is refused, and an audit in which it is another network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from palpate.audit.plan.plan import parse_plan
from palpate.audit.run.runner import audit
from palpate.audit.subject.surrogate import Surrogate
from palpate.contracts import Task
from palpate.errors import InputError, PlanError
from palpate.preprocess import Preprocess
from palpate.storage.runs import RunFolder
from palpate.tasks.classification import Classification
from palpate.tasks.heads import OneLogit
from palpate.victim import Victim
from tests.audit import tiny

HEAD, RUN = tiny.PLAN[: tiny.PLAN.index("[[attacks]]")], tiny.PLAN[tiny.PLAN.index("[run]") :]
TRANSFER = '[[attacks]]\nattack = "transfer"\nsteps = 5\n\n'
OTHER = """[surrogate]
factory = "model.py:build"
weights = "other.safetensors"
bounds = [0, 255]

[surrogate.preprocess]
mean = [127.5]
std = [127.5]

"""
PLAN = HEAD + TRANSFER + OTHER + RUN


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (OTHER, "", r"'transfer' needs another model to attack. Describe it in \[surrogate\]"),
        ('"transfer"', '"pgd"', "surrogate: no attack uses it. Remove it"),
        ('other.safetensors"\nbounds = [0, 255]', 'other.safetensors"\nbounds = [0, 1]', "bounds: the surrogate sees"),
        (
            'factory = "model.py:build"\nweights = "other.safetensors"',
            'onnx = "a.onnx"',
            "surrogate: it must give grad",
        ),
        ('weights = "other.safetensors"', 'weights = "other.safetensors"\nonnx = "a.onnx"', "line .*, surrogate"),
    ],
)
def test_what_does_not_fit_is_refused(old: str, new: str, said: str) -> None:
    assert old in PLAN
    with pytest.raises(PlanError, match=said):
        parse_plan(PLAN.replace(old, new), Path("plan.toml"))


def written(folder: Path, text: str, seed: int = 1) -> Path:
    plan = tiny.write(folder, text)
    save_file(tiny._trained(seed), folder / "other.safetensors")
    return audit(plan, folder / "run").folder


def test_another_network_is_the_surrogate_and_part_of_the_identity(tmp_path: Path) -> None:
    run = written(tmp_path / "a", PLAN)
    frame = RunFolder(run).frame()
    assert set(frame["attack"]) == {"transfer"} and frame["success"].any() and not frame["backwards"].any()
    assert frame["forwards"].max() == 3
    assert not set(tiny.shards(run)) & set(tiny.shards(written(tmp_path / "b", PLAN, seed=0)))


def test_a_surrogate_of_another_input_size_is_refused_unless_the_plan_resizes(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "a", PLAN.replace("model.py:build", "model.py:fixed", 2).replace("fixed", "build", 1))
    model = tmp_path / "a" / "model.py"
    model.write_text(
        tiny.MODEL
        + "\nclass Fixed(nn.Sequential):\n    def forward(self, images):\n        assert images.shape[-1] == 12, 'it "
        "needs 12 pixels'\n        return super().forward(images)\n\ndef fixed():\n    return Fixed(*layers(4))\n"
    )
    save_file(tiny._trained(1), tmp_path / "a" / "other.safetensors")
    refused = audit(plan, tmp_path / "a" / "run")
    assert refused.failed == ("transfer",)
    assert any("surrogate: it cannot be attacked with images of shape" in finding.text for finding in refused.findings)
    assert any("it needs 12 pixels). Give its input in [surrogate.preprocess]" in one.text for one in refused.findings)
    text = (
        (tmp_path / "a" / "plan.toml")
        .read_text()
        .replace("[surrogate.preprocess]", "[surrogate.preprocess]\nsize = [12, 12]")
    )
    again = audit(tiny.rewrite(tmp_path / "a", text), tmp_path / "a" / "again")
    assert again.status == "finished" and not again.failed


class _Rows(nn.Module):
    """A network for images of 4 rows that gives scores of a chosen shape."""

    def __init__(self, *shape: int):
        super().__init__()
        self.shape = shape

    def forward(self, images: Tensor) -> Tensor:
        return (images.mean(1) @ torch.ones(4, 1)).mean() * torch.ones(len(images), *self.shape)


@pytest.mark.parametrize(
    ("task", "shape", "size", "said"),
    [
        (Classification(3), (5,), 4, "surrogate: it gives 5 classes, and the task has 3. Give a surrogate of the same"),
        (Classification(3), (1,), 4, "surrogate: it gives 2 classes, and the task has 3. Give a surrogate of the same"),
        (
            Classification(2, head=OneLogit()),
            (2,),
            4,
            "surrogate: its output has shape [1, 2] for 1 images, and a one-logit head with 2 classes needs [1, 1]. "
            "Give a surrogate of the same",
        ),
        (Classification(3), (3,), 6, "surrogate: it cannot be attacked with images of shape [1, 6, 6]. Give its input"),
    ],
)
def test_a_surrogate_that_does_not_fit_says_how(task: Task, shape: tuple[int, ...], size: int, said: str) -> None:
    preprocess = Preprocess()
    surrogate = Surrogate(Victim(_Rows(*shape), (0, 255), preprocess=preprocess), preprocess, {})
    with pytest.raises(InputError) as caught:
        surrogate.check(task, torch.zeros(1, 1, size, size), torch.zeros(1, dtype=torch.int64))
    assert str(caught.value).startswith(said)
