"""The attacks of a first plan: `strongest` decides, noise is the reference, and the probes are written out."""

from pathlib import Path

import pytest

from palpate.audit.plan.items import items
from palpate.audit.plan.plan import parse_plan
from palpate.audit.starter.attacks import attack_part, black_box_part
from palpate.audit.starter.plan import starting_plan
from tests.audit import tiny, tiny_dense

KINDS = {
    "segmentation": {"untargeted", "erase: mask"},
    "detection": {"untargeted", "vanish"},
    "multilabel": {"untargeted", "miss: upper"},
    "volume": {"untargeted", "erase: mask"},
    "classification": {"untargeted"},
}


def planned(folder: Path, kind: str):
    _ = tiny.write(folder) if kind == "classification" else tiny_dense.write(folder, kind)
    (folder / "plan.toml").unlink()
    if kind == "volume":
        for name in ("images.csv", "boxes.csv", "findings.csv"):
            (folder / name).unlink(missing_ok=True)
    text = starting_plan(folder, folder, "segmentation" if kind == "volume" else kind)
    return text, parse_plan(text, folder / "plan.toml")


@pytest.mark.parametrize("kind", KINDS)
def test_strongest_comes_first_and_noise_is_there(tmp_path: Path, kind: str) -> None:
    text, plan = planned(tmp_path, kind)
    first, second, *_ = plan.attacks
    assert (first.attack, first.goal, second.attack) == ("strongest", "untargeted", "noise")
    assert {attack.goal for attack in plan.attacks} == KINDS[kind]
    assert {attack.attack for attack in plan.attacks if attack.goal != "untargeted"} <= {"strongest"}
    # A search without gradients is among its stages, and a beaten image is not attacked again at a larger budget.
    made = items(plan)[0]
    order = "bisect" if kind in ("classification", "multilabel") else "rising"
    assert made.searches == ("square",) and made.curve == order
    assert '# attack = "smia"' in text


@pytest.mark.parametrize("kind", ["segmentation", "detection"])
def test_one_climb_goes_on_where_scores_still_fall(tmp_path: Path, kind: str) -> None:
    _, plan = planned(tmp_path, kind)
    curves = {item.name: item.curve for item in items(plan)}
    assert [name for name, order in curves.items() if order == "each"] == [
        "noise",
        "cospgd" if kind != "detection" else "pgd",
    ]


def test_the_fields_of_the_probes_are_written_with_what_they_cost(tmp_path: Path) -> None:
    text, plan = planned(tmp_path, "classification")
    assert "quality" in plan.model_fields_set and (plan.quality.images, plan.quality.share) == (8, 0.25)
    lines = [line for line in text.partition("[quality]")[2].splitlines() if " = " in line and line[0] != "#"]
    assert [line.partition(" = ")[0] for line in lines[:2]] == list(type(plan.quality).model_fields)
    assert "passes" in lines[0] and "passes" in lines[1]


def test_goals_are_attacked_or_only_proposed() -> None:
    attacked = attack_part("classes", ("hide disease",))
    proposed = attack_part("classes", proposed=("hide disease",))
    assert '\nname = "strongest: hide disease"\n' in attacked and "# name =" not in attacked
    assert '\n# name = "strongest: hide disease"\n' in proposed and '\nname = "strongest' not in proposed


def test_a_black_box_may_be_limited_to_so_many_queries(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, "classification")
    text = plan.text
    uncommented = black_box_part().replace("# [[", "[[").replace("# attack", "attack").replace("# quer", "quer")
    part = text[: text.index("# `palpate list attacks`")] + uncommented
    assert [one.attack for one in parse_plan(part, tmp_path / "plan.toml").attacks] == [
        "strongest", "noise", "square", "hopskipjump",
    ]  # fmt: skip
