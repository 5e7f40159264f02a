"""The word *hardened*: a real gain may use it; masked gradients, a collapse and every other fake may not."""

import json
from dataclasses import replace
from typing import Any

import pytest

from palpate.errors import InputError
from palpate.report.compute.compare.changes import adjusted, changes, reading
from palpate.report.compute.compare.comparison import compare_runs
from palpate.report.compute.compare.listing import ANY, CLEAN
from palpate.report.compute.compare.measured import comparable
from palpate.report.compute.compare.sentences import find, result_in_words
from palpate.report.compute.hardening.checks import clean_floor, gain
from palpate.report.compute.hardening.given import given
from palpate.report.compute.hardening.judge import judge, judge_measured
from palpate.report.compute.hardening.verdict import Verdict
from palpate.report.model.schema_compare import Delta
from palpate.storage.runs import RunFolder
from tests.report.pair import other_model, relabelled
from tests.report.world import ATTACKS, Patients, describe, shard

EPS, IMAGES = 1.0, 100
ALONE = {"fgsm": "fgsm", "pgd": "pgd", "pgd-restarts": "pgd", "square": "square", "fmn": "fmn"}
"""Attacks of the plan, with the made-up attack whose records they have at first."""


def proven(**shares: Any) -> dict[str, Any]:
    """What a hardening measures of a model that is really robust; `shares` replace the share after it."""
    usual = {
        "one start": (0.2, 0.5), "several starts": (0.2, 0.5), "white box": (0.2, 0.5), "no gradients": (0.4, 0.6),
        "four times the budget": (0.0, 0.05), "another norm": (0.2, 0.4), "images against the old model": (None, 0.7),
    }  # fmt: skip
    found = []
    for name, (before, after) in usual.items():
        found.append({"name": name, "before": before, "after": shares.get(name, after), "images": 64})
    return {
        "version": 1,
        "eps": EPS,
        "lose_at_most": 0.1,
        "measurements": [one for one in found if one["after"] is not None],
    }


def made(path, factor: float, fall: dict[str, float]) -> RunFolder:
    """A run whose model falls at `factor` times the budget; under the attacks of `fall` at that many times it."""
    run = RunFolder(path)
    with other_model(factor, slips=0.0 if factor == 1.0 else 0.01):
        patients = Patients.make(IMAGES, 1, False)
        base = describe(patients, "", ("fgsm", "pgd"))
        attacks = []
        for name, catalog in ALONE.items():
            press = replace(
                next(one for one in ATTACKS if one.name == ("fgsm" if name == "fgsm" else "pgd")), name=name
            )
            press = replace(
                press, strength=press.strength / fall.get(name, 1.0), steps=0 if name == "square" else press.steps
            )
            records = shard(press, patients, "")
            if name == "pgd-restarts":
                # The same climbs, so that more starts find nothing else.
                records = [replace(one, attack=name) for one in shard(replace(press, name="pgd"), patients, "")]
            run.write_shard(name, records)
            parameters = {
                "steps": press.steps,
                **({"restarts": 5 if name == "pgd-restarts" else 1} if catalog == "pgd" else {}),
            }
            attacks.append(
                {
                    **base["attacks"][0],
                    "name": name,
                    "item": f"{name}-item",
                    "catalog": catalog,
                    "parameters": parameters,
                }
            )
    # Without grades and disease there is less to compute.
    base["task"] = {**base["task"], "kind": "multiclass", "disease": []}
    run.save_description({**base, "attacks": attacks, "gates": [], "gallery": [], "shards": list(ALONE)})
    return run if factor == 1.0 else relabelled(run)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    return made(tmp_path_factory.mktemp("before") / "run", 1.0, {})


@pytest.fixture(scope="module")
def robust(tmp_path_factory):
    return made(tmp_path_factory.mktemp("robust") / "run", 2.5, {})


@pytest.fixture(scope="module")
def both(before, robust):
    """Both runs, read once, and their changes."""
    first, second = comparable([before, robust]).runs
    (changed,) = adjusted([changes(first.figures, second.figures)])
    return first, second, changed


@pytest.fixture(scope="module")
def verdict_of(both, robust):
    """The verdict on the robust model by what else was measured."""
    return lambda checks: judge_measured(*both, given(checks, robust.path), EPS)


@pytest.fixture(scope="module")
def find_clean(both):
    """The change of the clean accuracy, with another estimate, another low end, and other images."""

    def made(value: float, low: float, images: int):
        clean = find(both[2], "clean accuracy", CLEAN, None)
        delta = clean.difference.model_copy(update={"value": value, "low": low})
        return clean.model_copy(update={"difference": delta, "first": clean.first.model_copy(update={"total": images})})

    return made


def states(verdict: Verdict) -> dict[str, str]:
    return {one.name: one.state for one in verdict.reasons}


def said(verdict: Verdict, name: str) -> str:
    return next(one.sentence for one in verdict.reasons if one.name == name)


def test_a_real_gain_may_use_the_word_and_names_its_price(before, robust, verdict_of):
    verdict = judge(before, robust, proven())
    assert verdict == verdict_of(proven())
    assert verdict.word and set(states(verdict).values()) == {"passed"}, verdict.reasons
    assert verdict.sentence == "The word hardened may be used at eps 1: all 9 checks passed." and verdict.eps == EPS
    assert said(verdict, "clean floor").endswith("points was allowed. The interval excludes a larger one.")
    names = [row.name for row in verdict.price]
    assert names[0] == "clean accuracy" and "clean accuracy of mild" in names
    assert "robust accuracy of severe under any attack at eps 1" in names


def test_a_clean_loss_that_too_few_images_exclude_is_a_reservation(verdict_of, find_clean):
    verdict = verdict_of({**proven(), "lose_at_most": 0.02})
    assert verdict.word and [one.name for one in verdict.doubted] == ["clean floor"]
    assert verdict.sentence == (
        "The word hardened may be used at eps 1, with a reservation: 8 of 9 checks passed; not shown: clean floor."
    )
    (check,) = verdict.doubted
    assert check.figures["low"] < -0.02 <= check.figures["change"]
    assert f"do not exclude a loss of up to {-100 * check.figures['low']:.1f} points. About " in check.sentence
    # A hundred images with a quarter of the width: sixteen times as many.
    clean = find_clean(0.0, -0.08, 100)
    assert clean_floor(clean, 0.02).sentence.endswith(
        "About 1,600 images like these would exclude it, if nothing else changes."
    )
    assert clean_floor(find_clean(0.0, -0.02, 100), 0.02).state == "passed"
    assert clean_floor(find_clean(-0.021, -0.08, 100), 0.02).state == "refused"


def test_masked_gradients_are_called_out_by_the_search_without_them(before, tmp_path):
    # The white box leaves nearly everything, and square finds what a plain model shows.
    masked = made(tmp_path / "masked", 8.0, {"square": 0.15})
    verdict = judge(before, masked, proven())
    assert not verdict.word and states(verdict)["search without gradients"] == "refused"
    assert "square" in said(verdict, "search without gradients")
    assert "refused by: " in verdict.sentence and "search without gradients" in verdict.sentence


def test_a_collapse_to_one_step_is_called_out(before, tmp_path):
    collapsed = made(tmp_path / "collapsed", 1.0, {"fgsm": 20.0, "pgd": 0.02, "pgd-restarts": 0.02})
    verdict = judge(before, relabelled(collapsed), proven())
    assert not verdict.word and {states(verdict)[name] for name in ("gain", "many steps")} == {"refused"}
    assert "one step only: single-step training has collapsed" in said(verdict, "many steps")


def test_a_gain_within_its_interval_is_no_gain(before, tmp_path):
    verdict = judge(before, made(tmp_path / "same", 1.04, {}), proven())
    assert states(verdict)["gain"] == "refused" and "a gain is not shown" in said(verdict, "gain")


@pytest.mark.parametrize(
    ("low", "p", "shown"), [(0.07, 0.04, True), (0.07, 0.31, False), (-0.01, 0.04, False), (None, 0.04, False)]
)
def test_one_rule_decides_the_gain_and_the_sentence_above_it(both, low, p, shown):
    first, _, changed = both
    real = find(changed, "robust accuracy", ANY, EPS)
    delta = Delta(**{**dict(real.difference), "low": low})
    change = real.model_copy(update={"difference": delta, "p_holm": p, "reading": reading(delta, "higher", p)})
    sentence, _ = result_in_words(("A", "B"), [change], [], first.results, EPS)
    assert ("no difference is established" in sentence) is not shown
    assert gain(change).state == ("passed" if shown else "refused")


@pytest.mark.parametrize(
    ("shares", "name"),
    [
        ({"no gradients": 0.3}, "search without gradients"),
        ({"images against the old model": 0.4}, "images against the old model"),
        ({"several starts": 0.3}, "restarts"),
        ({"another norm": 0.1}, "other families"),
    ],
)
def test_what_the_hardening_measured_refuses_the_word(verdict_of, shares, name):
    verdict = verdict_of(proven(**shares))
    assert not verdict.word and [one.name for one in verdict.refused] == [name]


def test_a_few_images_more_are_chance(verdict_of):
    assert verdict_of(proven(**{"no gradients": 0.48, "several starts": 0.48})).word


def test_more_starts_that_find_more_refuse_the_word(before, tmp_path):
    lucky = made(tmp_path / "lucky", 2.5, {})
    with other_model(1.5, slips=0.01):
        press = replace(ATTACKS[2], name="pgd-restarts")
        lucky.write_shard("pgd-restarts", shard(press, Patients.make(IMAGES, 1, False), ""))
    assert states(judge(before, lucky, proven()))["restarts"] == "refused"


def test_a_model_that_stands_at_four_times_the_budget_hides(before, tmp_path):
    wide = made(tmp_path / "wide", 8.0, {})
    verdict = judge(before, wide, proven(**{"four times the budget": 0.4}))
    assert states(verdict)["four times the budget"] == "refused"
    assert "at most 10.0% should be" in said(verdict, "four times the budget")


def test_another_family_that_beats_both_alike_undoes_the_gain(before, tmp_path):
    undone = made(tmp_path / "undone", 2.5, {"fmn": 0.35})
    verdict = judge(before, undone, proven())
    assert states(verdict)["other families"] == "refused" and "smallest change" in said(verdict, "other families")


def test_clean_accuracy_below_the_floor_refuses_the_word(before, tmp_path):
    with other_model(2.5, slips=0.3):
        poor = made(tmp_path / "poor", 1.0, {})
    verdict = judge(before, relabelled(poor), {**proven(), "lose_at_most": None})
    assert states(verdict)["clean floor"] == "refused" and "2.0 points was allowed" in said(verdict, "clean floor")
    assert states(judge(before, poor, {**proven(), "lose_at_most": 0.9}))["clean floor"] == "passed"


def test_gradients_of_zero_refuse_the_word(before, tmp_path):
    blocked = made(tmp_path / "blocked", 2.5, {})
    with other_model(2.5, slips=0.01):
        records = shard(replace(ATTACKS[2], name="pgd"), Patients.make(IMAGES, 1, False), "")
    blocked.write_shard("pgd", [replace(one, blocked_gradient=True) for one in records])
    assert states(judge(before, blocked, proven()))["gradients"] == "refused"


def test_what_was_not_measured_prevents_the_word_and_is_named(verdict_of):
    verdict = verdict_of(None)
    missing = {one.name for one in verdict.missing}
    assert not verdict.word and missing == {"images against the old model"}
    assert "not measured: " in verdict.sentence and all(name in verdict.sentence for name in missing)


def test_one_missing_check_is_enough_to_prevent_the_word(verdict_of):
    verdict = verdict_of(proven(**{"images against the old model": None}))
    assert not verdict.word and not verdict.refused
    assert verdict.sentence.endswith("not measured: images against the old model.")


def test_a_budget_that_no_run_has_is_not_judged(verdict_of):
    verdict = verdict_of({**proven(), "eps": 0.3})
    assert not verdict.word and verdict.eps is None and states(verdict)["gain"] == "not measured"


@pytest.mark.parametrize(
    ("checks", "word"),
    [
        ({"measurements": [{"name": "white box", "after": 1.5, "images": 3}]}, "measurements.0.after"),
        ({"measurements": [{"name": "white box", "after": 0.5}]}, "measurements.0.images"),
        ({"version": 9}, "version"),
    ],
)
def test_wrong_checks_name_their_field(verdict_of, checks, word):
    with pytest.raises(InputError, match=f"checks: {word}"):
        verdict_of(checks)


def test_files_of_the_run_folder_are_read_and_the_comparison_shows_the_verdict(before, tmp_path):
    after = made(tmp_path / "after", 2.5, {})
    plain = compare_runs([before, after])
    assert plain.pairs[0].hardening is None
    assert compare_runs([before, after], hardened=True).pairs[0].hardening.word is False
    (after.path / "harden.json").write_text(json.dumps({"eps": {"value": EPS}, "settings": {"lose_at_most": 0.04}}))
    (after.path / "checks.json").write_text(json.dumps({**proven(), "eps": None, "lose_at_most": None}))
    verdict = compare_runs([before, after]).pairs[0].hardening
    assert verdict.word and verdict.eps == EPS
    assert next(one for one in verdict.checks if one.name == "clean floor").figures["floor"] == 0.04
    (after.path / "checks.json").write_text("{")
    with pytest.raises(InputError, match=r"checks\.json cannot be read"):
        compare_runs([before, after])


def test_a_floor_of_zero_allows_no_loss(tmp_path):
    (tmp_path / "harden.json").write_text(json.dumps({"settings": {"lose_at_most": 0.04}}))
    assert given({"lose_at_most": 0}, tmp_path).floor == 0.0
    assert given({}, tmp_path).floor == 0.04
