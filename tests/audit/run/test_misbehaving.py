"""Models that misbehave under attack: each is a sentence of its attack, the others go on, and nothing leaks."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from palpate import cli
from palpate.audit.run.runner import AuditOutcome, audit
from palpate.commands.status import INCOMPLETE
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder
from tests.audit import tiny

MODEL = (
    tiny.MODEL
    + """
import os, sys
import numpy as np

class Own(Exception):
    pass

class Base(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")

class Ends(Exception):
    def __str__(self):
        raise SystemExit(1)

class Sub(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *_, **__):
        raise ValueError("a class of its own")

class Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images):
        return images.clone()

    @staticmethod
    def backward(ctx, slope):
        raise KeyError("backwards")

def under_attack(images):
    stored = images.detach() * 127.5 + 127.5
    return images.requires_grad and float((stored - stored.round()).abs().max()) > 1e-3

def raising(error):
    raise error

def spoilt(images):
    changed = images.relu()
    result = changed.exp()
    result.mul_(2)
    changed.exp_()
    return result

class Bad(nn.Sequential):
    def forward(self, images):
        self.kept = [*getattr(self, "kept", []), images][-3:]
        if self.always or under_attack(images):
            logits = super().forward
            return eval(self.act)
        return super().forward(images)

def bad(act, always=False):
    model = Bad(*layers(4))
    model.act, model.always = act, always
    return model
"""
)


_NOTHING_ELSE = "\n[survival]\nafter = []\nsaved = false\n\n[stability]\nimages = 0\n\n"
"""What comes after an attack asks the model as it is, and takes longer than these attacks."""


def audited(folder: Path, act: str, *, always: bool = False, more: str = "") -> AuditOutcome:
    tiny.write(folder / "plan")
    (folder / "plan" / "model.py").write_text(MODEL)
    text = tiny.USUAL.replace("model.py:build", "model.py:bad")
    text = text.replace("bounds", f"arguments = {{act = '''{act}''', always = {str(always).lower()}}}\nbounds", 1)
    return audit(tiny.rewrite(folder / "plan", text + _NOTHING_ELSE + more), folder / "run")


RAISED = {
    "raising(ValueError('boom'))": "ValueError: boom",
    "raising(TypeError('boom'))": "TypeError: boom",
    "raising(AssertionError())": "AssertionError",
    "{}['key']": "KeyError: 'key'",
    "[][1]": "IndexError: list index out of range",
    "images.nothing": "AttributeError",
    "raising(NotImplementedError('aten::x'))": "NotImplementedError: aten::x",
    "1 / 0": "ZeroDivisionError: division by zero",
    "raising(RuntimeError('first line\\nsecond line'))": "RuntimeError: first line",
    "raising(OSError(5, 'disk'))": "OSError",
    "raising(StopIteration())": "StopIteration",
    "raising(GeneratorExit())": "GeneratorExit",
    "raising(RecursionError('deep'))": "RecursionError: deep",
    "raising(Own('mine'))": "Own: mine",
    "raising(Base('mine'))": "Base: mine",
    "raising(Mute())": "Mute",
    "raising(Ends())": "Ends",
    "sys.exit()": "SystemExit",
    "sys.exit(0)": "SystemExit: 0",
    "exit()": "SystemExit",
    "logits(Slope.apply(images))": "KeyError: 'backwards'",
    "logits(spoilt(images))": "modified by an inplace operation",
    "logits(images.detach())": "no gradient flows",
    "None": "returned None",
    "{'logits': logits(images)}": "returned a dict",
    "logits(images).detach().numpy()": "returned ndarray",
    "logits(images)[:, :2]": "its output changes during the run, to [3, 2]",
    "logits(images)[:1]": "its output changes during the run, to [1, 3] (float32) for 3 images",
    "logits(images).sum()": "its output changes during the run, to [] (float32)",
    "logits(images)[None]": "its output changes during the run, to [1, 3, 3]",
    "logits(images).argmax(1)": "its output changes during the run, to [3] (int64)",
    "logits(images).long()": "its output changes during the run",
}


@pytest.mark.parametrize("act", RAISED)
def test_what_fails_under_attack_is_a_finding_of_that_attack(tmp_path: Path, act: str) -> None:
    outcome = audited(tmp_path, act)
    assert (outcome.status, outcome.failed, outcome.interrupted) == ("unfinished", ("pgd",), False)
    assert outcome.done == 6, "the others, which keep to whole values or need no gradient, went on"
    for name in outcome.failed:
        (text,) = [one.text for one in outcome.findings if one.subject == name and one.level == "failure"]
        assert text.startswith("This attack could not run: model: ") and RAISED[act] in text
        assert text.endswith(".") and "\n" not in text


HARMLESS = [
    "logits(images.add_(0))",
    "logits(images.mul_(2).sub_(1).add_(1).div_(2))",
    "(torch.set_default_dtype(torch.float64), logits(images))[1]",
    "(torch.set_num_threads(7), logits(images))[1]",
    "(torch.use_deterministic_algorithms(True), logits(images))[1]",
    "(torch.manual_seed(1), torch.rand(3), logits(images))[2]",
    "(np.random.seed(1), logits(images))[1]",
    "(os.chdir('/'), logits(images))[1]",
    "(print('noise ' * 100), logits(images))[1]",
    "(self.train(), logits(images))[1]",
    "logits(images).as_subclass(Sub)",
    "(logits(images), self.requires_grad_(True))[0]",
    "(logits(images), torch.set_grad_enabled(False))[0]",
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("good")
    assert audited(folder, "logits(images)").passed
    return RunFolder(folder / "run")


@pytest.mark.parametrize("act", HARMLESS)
def test_what_a_model_changes_is_put_back(tmp_path: Path, act: str, good: RunFolder) -> None:
    state = (torch.get_default_dtype(), torch.get_num_threads(), os.getcwd(), torch.is_grad_enabled())
    outcome = audited(tmp_path, act, always=True)
    assert outcome.passed, outcome.findings
    assert (torch.get_default_dtype(), torch.get_num_threads(), os.getcwd(), torch.is_grad_enabled()) == state
    assert not torch.are_deterministic_algorithms_enabled()
    here, there = RunFolder(tmp_path / "run").frame(), good.frame()
    for name in ("success", "margin", "linf", "seed"):
        np.testing.assert_allclose(here[name].astype(float), there[name].astype(float), atol=1e-5)


def test_gradients_switched_off_inside_are_a_finding(tmp_path: Path) -> None:
    outcome = audited(tmp_path, "(torch.set_grad_enabled(False), logits(images))[1]")
    assert outcome.failed == ("pgd",) and outcome.done == 6 and torch.is_grad_enabled()


def test_outputs_that_are_nan_under_attack_never_count_as_success(tmp_path: Path) -> None:
    assert audited(tmp_path, "logits(images) * float('nan')").status == "finished"
    frame = RunFolder(tmp_path / "run").frame()
    assert frame["non_finite"].any()
    for name in ("margin", "clean_margin"):
        assert np.isfinite(frame[name].astype(float)).all()
    assert write_report(RunFolder(tmp_path / "run")).is_file(), "paths without a length have no place in a figure"


def test_a_hook_that_raises_stops_no_other_attack(tmp_path: Path) -> None:
    hook = "images.requires_grad and images.register_hook(lambda slope: raising(KeyError('hook')))"
    outcome = audited(tmp_path, f"({hook}, logits(images))[1]", always=True)
    assert set(outcome.failed) == {"pgd", "hiding"} and outcome.done


def test_ctrl_c_inside_the_model_stays_an_interrupt(tmp_path: Path) -> None:
    outcome = audited(tmp_path, "raising(KeyboardInterrupt())")
    assert outcome.interrupted and outcome.failed == ()


def test_a_norm_switched_to_training_inside_forward_runs_unfolded_and_is_said(tmp_path: Path) -> None:
    tiny.write(tmp_path / "plan")
    (tmp_path / "plan" / "model.py").write_text(
        """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(16, 3)

    def forward(self, images):
        self.norm.train()
        return self.head(nn.functional.adaptive_avg_pool2d(self.norm(self.conv(images)).relu(), 2).flatten(1))
"""
    )
    text = tiny.USUAL.replace("model.py:build", "model.py:Net").replace('weights = "weights.safetensors"\n', "")
    plan = tiny.rewrite(tmp_path / "plan", text.replace("batch = 3", 'batch = 3\nat_chance = "allow"'))
    outcome = audit(plan, tmp_path / "run")
    assert outcome.status == "finished"
    (finding,) = [one for one in outcome.findings if one.subject == "batch dependence"]
    assert finding.level == "failure" and "other images of its batch" in finding.text


@pytest.mark.parametrize("act", ["1 / 0", "sys.exit(1)"])
def test_the_command_ends_with_status_3_and_a_sentence(
    tmp_path: Path, act: str, capsys: pytest.CaptureFixture[str]
) -> None:
    audited(tmp_path, act)
    with pytest.raises(SystemExit) as ended:
        cli.main(["audit", str(tmp_path / "plan" / "plan.toml"), "-q"])
    said = capsys.readouterr().err
    assert ended.value.code == INCOMPLETE == 3
    assert "could not run" in said and "Traceback" not in said
