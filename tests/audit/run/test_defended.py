"""An audit of a defended model: its name, its price, its identity, and the same bytes again."""

import json

import pytest

from palpate.audit.run.runner import audit
from tests.audit import tiny

CLEANER = """
from torch import nn

def build():
    layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight)
    return layer
"""


def write(folder, *tables):
    text = tiny.PLAN.replace("[data]\n", "\n".join(f"[[model.defences]]\n{one}\n" for one in tables) + "\n[data]\n", 1)
    text = text.replace('eps = ["6/255", "16/255"]', 'eps = ["6/255"]')
    begin = text.index("[[attacks]]", text.index("[[attacks]]") + 1)
    plan = tiny.write(folder, text[:begin] + text[text.index("[run]") :])
    (folder / "cleaner.py").write_text(CLEANER)
    return plan


def run(folder, *tables):
    outcome = audit(write(folder, *tables), folder / "run")
    assert outcome.status == "finished" and not outcome.failed
    return outcome, json.loads((folder / "run" / "run.json").read_text()), tiny.shards(folder / "run")


@pytest.mark.filterwarnings("error")
def test_smoothing_is_named_is_no_random_model_and_repeats(tmp_path):
    tables = ('defence = "jpeg"', 'defence = "smoothing"\nsigma = "5%"\ndraws = 2\nvotes = 5')
    outcome, stored, first = run(tmp_path / "one", *tables)
    assert stored["model"]["defences"] == [
        "JPEG at quality 75, from 8 bits over 0 to 255",
        "smoothing with noise of 12.75, 5 votes",
    ]
    assert stored["model"]["draws"] == 1 and not [one for one in outcome.findings if one.subject == "random model"]
    assert run(tmp_path / "two", *tables)[2] == first
    assert set(run(tmp_path / "three")[2]).isdisjoint(first)


def test_a_detector_says_what_it_costs(tmp_path):
    outcome, _, _ = run(tmp_path, 'defence = "reject"\nfalse_alarms = 0.25')
    (said,) = [one.text for one in outcome.findings if one.subject == "rejected images"]
    assert "rejects 3 of 12 clean images (25.0%)" in said


def test_networks_of_defences_are_loaded_like_models(tmp_path):
    _, stored, _ = run(
        tmp_path,
        'defence = "denoise"\nfactory = "cleaner.py:build"',
        'defence = "ensemble"\nmembers = [{factory = "model.py:build", weights = "weights.safetensors"}]',
    )
    assert stored["model"]["defences"] == [
        "purified by cleaner.py:build",
        "mean probability of 2 models (with weights.safetensors)",
    ]
