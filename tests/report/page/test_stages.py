"""The table of stages: its sums are those of the records, and attacks without stages have none."""

from dataclasses import replace

import pytest

from palpate.report.page import stages
from tests.report.known import measure, printed, render
from tests.report.world import ATTACKS, EPS, Patients, describe, make_run, shard

NAMES = ["margin", "cross-entropy", "square", "never"]


def staged(one):
    """The record of an attack of four stages: the last is for other tasks, and odd images fall to the third."""
    spent = float(one.forwards + one.backwards) if one.evidence != "carried" else 0.0
    third = spent // 2 if one.row % 2 else 0.0
    passes = (spent - third, 0.0, third, 0.0)
    stage = ("square" if one.row % 2 else "margin") if one.success else ""
    forwards = one.forwards if spent else 0
    return replace(one, stage=stage, stage_passes=passes, forwards=forwards, backwards=one.backwards if spent else 0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    patients = Patients.make(40, 1, False)
    attacks = describe(patients, "", ("fgsm", "apgd-margin"))["attacks"]
    attacks[1] |= {"stages": NAMES, "searches": ["square"]}
    path = tmp_path_factory.mktemp("stages") / "run"
    made = make_run(path, images=40, attacks=("fgsm", "apgd-margin"), pictures=0)
    stored = made.describe()
    made.save_description({**stored, "attacks": attacks})
    press = next(one for one in ATTACKS if one.name == "apgd-margin")
    made.write_shard("apgd-margin", [staged(one) for one in shard(press, patients, "")])
    return made


def test_sums_are_those_of_the_records(run):
    plain, full = measure(run).attacks
    assert plain.stages == [] and [point.eps for point in full.stages] == list(EPS)
    assert sum(point.passes for point in full.stages) == full.forwards + full.backwards
    for point, shares in zip(full.stages, full.points, strict=True):
        assert sum(one.won for one in point.stages) + point.carried == shares.success_rate.count
        assert sum(one.passes for one in point.stages) == point.passes
    assert any(point.stages[2].won for point in full.stages) and not any(one.stages[1].came for one in full.stages)


def test_the_page_and_the_terminal_show_them_after_the_results(run):
    page, (_, full) = render(run), measure(run).attacks
    (table,) = (part.partition("</details>")[0] for part in page.split("Stages of apgd-margin")[1:])
    assert page.index("Success rate at each budget") < page.index("Stages of apgd-margin")
    assert "square" in table and "never" not in table and "cross-entropy" not in table
    point = full.stages[0].stages[2]
    assert f"<b>{point.won} of {point.came}</b><small>{point.passes}" in table
    blind = stages.sentence(full.model_copy(update={"kind": "gradient-free"}))
    assert "stages that need one did not run" in blind and blind.startswith(stages.sentence(full))
    assert stages.sentence(full) in table and "Stages of fgsm" not in page
    text = printed(run, 200)
    assert "apgd-margin: Images beaten, counted once at each budget: " in text
