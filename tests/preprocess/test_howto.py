"""What the how-to on preprocessing shows is what palpate reads."""

import re
import tomllib
from pathlib import Path
from typing import Any

import torch

from palpate.audit.plan.sections.preprocess import PreprocessSection
from palpate.audit.plan.sections.steps import STEPS
from palpate.preprocess import Blocked, MonaiChain, blocked

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "preprocessing.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: tuples(entry) for key, entry in value.items()}
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def test_every_plan_can_be_read_and_every_chain_runs(tmp_path: Path) -> None:
    (tmp_path / "transforms.py").write_text(next(code for code in blocks("python") if "def deployed" in code))
    ran = 0
    for text in blocks("toml"):
        section = PreprocessSection.model_validate(tuples(tomllib.loads(text))["model"]["preprocess"])
        assert not list(section.problems())
        made = section.build(tmp_path)
        shape = (1, 1, 9, 9, 9) if made.resamples else (2, 1, 96, 80)
        images = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 300 - 100).requires_grad_()
        result = made.at((1.0, 1.0, 1.0))(images)
        assert torch.autograd.grad((result * torch.rand(result.shape)).sum(), images)[0].flatten(1).any(1).all()
        ran += 1
    assert ran == 5


def test_every_step_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(STEPS)


def test_the_budget_that_the_page_tells() -> None:
    section = PreprocessSection(steps=({"window": (-160, 240)},))
    assert section.window_values is not None
    low, high = section.window_values
    assert (high - low) * 0.005 == 2


def test_what_is_blocked_is_what_the_page_says() -> None:
    (code,) = (code for code in blocks("python") if "blocked(chain" in code)
    space: dict[str, Any] = {}
    exec(code, space)
    assert isinstance(space["chain"], MonaiChain)
    said = code.rpartition("# ")[2].strip()
    assert blocked(space["chain"], torch.rand(4, 1, 32, 32)) == eval(said, {"Blocked": Blocked})
