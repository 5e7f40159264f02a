"""Numbers that are possible and probably meant for another scale."""

from pathlib import Path

import pytest

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.slips import slips
from palpate.errors import PlanError
from tests.audit.tiny import USUAL

EPS, MEAN = 'eps = ["6/255", "16/255"]', "mean = [127.5]\nstd = [127.5]"


def _asked(**changed: str) -> str:
    text = USUAL
    for name, value in changed.items():
        text = text.replace({"eps": EPS, "mean": MEAN, "bounds": "bounds = [0, 255]"}[name], value)
    return " ".join(slips(parse_plan(text, Path("plan.toml"))))


def test_a_usual_plan_is_not_asked_about() -> None:
    assert _asked() == ""
    assert _asked(eps="eps = [1, 8]") == ""
    assert _asked(mean="mean = [0]\nstd = [1]") == ""


def test_values_of_another_scale_are_asked_about_with_the_fix() -> None:
    assert '"8/255"' in _asked(eps="eps = [0.0314]")
    assert "mean = [123.7]" in _asked(mean="mean = [0.485]\nstd = [0.229]")
    assert "divide mean and std by 255" in _asked(bounds="bounds = [0, 1]")
    with pytest.raises(PlanError, match=r'"8/255"'):
        _asked(bounds="bounds = [0, 1]", eps="eps = [8]")
