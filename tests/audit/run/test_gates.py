"""Gates against figures that are counted by hand from the records."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.sections.gates import GateSection
from palpate.audit.run.gates import Gate, measured
from palpate.audit.run.runner import audit
from palpate.metrics.panel import Panel, arrange
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.metrics.handmade import frame, record

Rows = dict[tuple[str, float, int], dict[str, Any]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("gates") / "plan"
    audit(tiny.write(folder), folder / "run")
    return RunFolder(folder / "run")


@pytest.fixture(scope="module")
def panel(run: RunFolder) -> Panel:
    return arrange(run.frame())


@pytest.fixture(scope="module")
def rows(run: RunFolder) -> Rows:
    frame = run.frame()
    found = [{name: values[place] for name, values in frame.items()} for place in range(len(frame["row"]))]
    return {(str(row["attack"]), float(row["eps"]), int(row["row"])): row for row in found}


def gate(text: str, panel: Panel) -> Gate:
    (found,) = measured(parse_plan(f"{tiny.PLAN}\n[[gates]]\n{text}\n", Path("plan.toml")), panel)
    return found


def share(rows: Rows, hit: Callable[[int], bool], among: Callable[[int], bool] = lambda row: True) -> float:
    counted = [row for row in range(12) if among(row)]
    return sum(hit(row) for row in counted) / len(counted)


def test_robust_accuracy_of_one_attack_and_of_any(rows: Rows, panel: Panel) -> None:
    def standing(attack: str, row: int) -> bool:
        record = rows[attack, 6.0, row]
        return bool(record["clean_prediction"] == tiny.label(row) and not record["success"])

    alone = gate('metric = "robust_accuracy"\nattack = "pgd"\neps = "6/255"\nat_least = 0', panel)
    worst = gate('metric = "robust_accuracy"\neps = "6/255"\nat_least = 0', panel)
    assert alone.value == share(rows, lambda row: standing("pgd", row))
    assert worst.value == share(rows, lambda row: standing("pgd", row) and standing("noise", row))
    assert 0 < worst.value < 1


def test_robust_accuracy_asks_untargeted_attacks_only(run: RunFolder, rows: Rows) -> None:
    frame = run.frame()
    rest = arrange({name: values[frame["attack"] != "pgd"] for name, values in frame.items()})
    found = gate('metric = "robust_accuracy"\neps = "16/255"\nat_least = 0', rest)
    standing = share(
        rows,
        lambda row: (
            bool(rows["noise", 16.0, row]["clean_prediction"] == tiny.label(row))
            and not rows["noise", 16.0, row]["success"]
        ),
    )
    assert found.value == standing
    assert any(rows["hiding", 16.0, row]["success"] > rows["noise", 16.0, row]["success"] for row in range(12))


def test_success_rate_counts_the_eligible(rows: Rows, panel: Panel) -> None:
    found = gate('metric = "success_rate"\nattack = "hiding"\neps = "6/255"\nat_most = 1', panel)
    by_hand = share(
        rows,
        lambda row: bool(rows["hiding", 6.0, row]["success"]),
        lambda row: bool(rows["hiding", 6.0, row]["eligible"]),
    )
    assert found.value == by_hand and 0 < by_hand < 1


@pytest.mark.parametrize("attack", ["pgd", "any"])
def test_the_direction_of_errors(attack: str, rows: Rows, panel: Panel) -> None:
    names = ["pgd", "hiding", "noise"] if attack == "any" else [attack]

    def decided(row: int, ill: bool) -> bool:
        """Whether some attack (or none) has the image decided as disease, or as healthy."""
        return any(
            (rows[name, eps, row][kind] > 0) == ill
            for name in names
            for eps in (6.0,)
            for kind in (("prediction", "clean_prediction") if attack == "any" else ("prediction",))
        )

    missed = share(rows, lambda row: decided(row, ill=False), lambda row: tiny.label(row) > 0)
    invented = share(rows, lambda row: decided(row, ill=True), lambda row: tiny.label(row) == 0)
    expected = {
        "missed_disease": missed,
        "invented_disease": invented,
        "sensitivity": 1 - missed,
        "specificity": 1 - invented,
    }
    for metric, value in expected.items():
        found = gate(f'metric = "{metric}"\nattack = "{attack}"\neps = "6/255"\nat_least = 0', panel)
        assert found.value == pytest.approx(value), metric
    assert 0 < missed < 1


def test_kappa_is_scikit_learns_and_any_attack_is_the_worst_of_each_image(rows: Rows, panel: Panel) -> None:
    truth = [tiny.label(row) for row in range(12)]
    names = ("pgd", "hiding", "noise")

    def kappa(decided: list[int]) -> float:
        return float(cohen_kappa_score(truth, decided, weights="quadratic"))

    def under(attack: str, kind: str = "prediction") -> list[int]:
        return [int(rows[attack, 6.0, row][kind]) for row in range(12)]

    def furthest(row: int) -> int:
        decided = [int(rows[attack, 6.0, row][kind]) for attack in names for kind in ("prediction", "clean_prediction")]
        return max(decided, key=lambda grade: (abs(grade - truth[row]), -grade))

    text = 'metric = "kappa"\nattack = "{}"\nat_least = 0\n'
    by_hand = [kappa(under(attack)) for attack in names]
    together = kappa([furthest(row) for row in range(12)])
    assert gate(text.format("pgd") + 'eps = "6/255"', panel).value == pytest.approx(by_hand[0])
    assert gate(text.format("any") + 'eps = "6/255"', panel).value == pytest.approx(min(*by_hand, together))
    assert gate(text.format("none"), panel).value == pytest.approx(kappa(under("pgd", "clean_prediction")))


def test_a_score_under_any_attack_is_the_lowest_of_each_image_that_has_something_to_lose() -> None:
    plan, box = parse_plan(tiny.PLAN, Path("plan.toml")), (0.0, 0.1, 0.1, 0.2, 0.2)
    shared = {"label": -1, "clean_prediction": -1, "eps": 16.0, "clean_right": True}
    scores = {"pgd": (0.2, 0.9), "noise": (0.8, 0.4)}
    made = arrange(
        frame(
            [
                record(row, attack=attack, score=score, truth=box, **shared)
                for attack, after in scores.items()
                for row, score in enumerate(after)
            ]
            + [record(2, attack=attack, eligible=False, **shared) for attack in scores]
        )
    )
    # The image without a box keeps its score of 1 and does not count: (0.2 + 0.4) / 2, and (0.2 + 0.9) / 2 under "pgd".
    limits = {"any": 0.3, "pgd": 0.55}
    for attack, expected in limits.items():
        section = GateSection(metric="score", attack=attack, eps=16, at_least=0.0)
        (found,) = measured(plan.model_copy(update={"gates": [section]}), made)
        assert found.value == pytest.approx(expected)


def test_clean_figures(rows: Rows, panel: Panel) -> None:
    accuracy = gate('metric = "clean_accuracy"\nat_least = 0.5', panel)
    assert accuracy.value == share(rows, lambda row: rows["pgd", 6.0, row]["clean_prediction"] == tiny.label(row))
    assert accuracy.text == "clean accuracy: at least 0.5"
    sensitivity = gate('metric = "sensitivity"\nattack = "none"\nat_least = 0.5', panel)
    assert sensitivity.value == share(
        rows, lambda row: bool(rows["pgd", 6.0, row]["clean_prediction"] > 0), lambda row: tiny.label(row) > 0
    )
    assert sensitivity.text == "sensitivity of clean images: at least 0.5"


def test_limits_hold_at_the_limit_itself(panel: Panel) -> None:
    text = 'metric = "robust_accuracy"\neps = "6/255"\n'
    value = gate(f"{text}at_least = 0", panel).value
    assert value is not None
    for limit, passed in ((value, True), (np.nextafter(value, 2), False)):
        assert gate(f"{text}at_least = {limit!r}".replace("np.float64(", "").replace(")", ""), panel).passed is passed
    for limit, passed in ((value, True), (np.nextafter(value, -1), False)):
        assert gate(f"{text}at_most = {limit!r}".replace("np.float64(", "").replace(")", ""), panel).passed is passed


def test_what_cannot_be_measured_does_not_pass(run: RunFolder) -> None:
    frame = run.frame()
    healthy = arrange({name: values[frame["label"] == 0] for name, values in frame.items()})
    for limit in ("at_least = 0", "at_most = 1"):
        found = gate(f'metric = "sensitivity"\nattack = "pgd"\neps = "6/255"\n{limit}', healthy)
        assert (found.value, found.passed) == (None, False)


def test_gates_in_words(panel: Panel) -> None:
    assert gate('metric = "robust_accuracy"\neps = "6/255"\nat_least = 0.25', panel).text == (
        "robust accuracy under any attack at eps 6/255: at least 0.25"
    )
    assert gate('metric = "missed_disease"\nattack = "hiding"\neps = 16\nat_most = 0.1', panel).text == (
        "missed disease under 'hiding' at eps 16: at most 0.1"
    )


def test_a_run_that_misses_a_gate_is_finished_and_has_not_passed(tmp_path: Path) -> None:
    text = f'{tiny.PLAN}\n[[gates]]\nmetric = "robust_accuracy"\neps = "16/255"\nat_least = 1.0\n'
    outcome = audit(tiny.write(tmp_path / "plan", text), tmp_path / "run")
    assert outcome.status == "finished" and not outcome.passed
    (missed,) = outcome.gates
    assert not missed.passed and missed.value is not None and missed.value < 1
    assert RunFolder(tmp_path / "run").describe()["gates"][0]["passed"] is False
