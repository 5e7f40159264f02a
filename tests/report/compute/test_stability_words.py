from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palpate.report.compute.stability import words as stability_words
from palpate.report.compute.stability.words import SAME_DIRECTION, UNRELATED, independent, sentence
from palpate.report.model.schema_stability import AttackStability, PlainComparison, Summary
from palpate.report.model.typed import Figure
from tests.report.known import measure
from tests.report.traced import WALKS, Walk, add_traces, of
from tests.report.world import make_run


def made(**changes) -> AttackStability:
    """A traced attack by its figures: summaries by their name, as `along={"half_time": 0.3}`."""

    def summaries(figures):
        figures = {name: one if isinstance(one, dict) else {"value": one} for name, one in figures.items()}
        nothing = {"low": None, "high": None, "method": "none"}
        return [Summary(name=name, figure=Figure(**{**nothing, **one})) for name, one in figures.items()]

    along = {"cos_final_half": 0.95, "half_time": 0.3, "cos_step": 0.4, **changes.pop("along", {})}
    restarts = {"differing": {"value": 0.0, "count": 0, "total": 4}, "change": 0.5, **changes.pop("restarts", {})}
    base = AttackStability(
        attack="made", goal="untargeted", state="traced", draws=False, weight=None, steps=10, images=4, starts=1,
        sentence="", beside=None, curves=[], courses=[], along_run=summaries(along),
        across_restarts=summaries(restarts), across_images=[],
    )  # fmt: skip
    return base.model_copy(update=changes)


def test_a_stabilised_attack_on_the_path_of_another_is_said_to_be_that_attack(tmp_path):
    run = make_run(tmp_path / "run", attacks=("fgsm", "pgd", "smia"), pictures=0)
    plain = Walk(seed=4)
    add_traces(run, {"pgd": plain, "smia": replace(plain, weight=0.5), "fgsm": WALKS["fgsm"]})
    stability = measure(run).stability
    beside = of(stability, "smia").beside
    assert (beside.attack, beside.images, beside.same_path) == ("pgd", 4, 4)
    assert (
        "On all 4 images it takes exactly the path of pgd: its term changes nothing." in of(stability, "smia").sentence
    )
    assert stability.sentences[1] == "smia takes exactly the path of pgd on all 4 images."
    add_traces(run, {"pgd": plain, "smia": replace(plain, weight=0.5, seed=5, smoothed=0.001), "fgsm": WALKS["fgsm"]})
    stability = measure(run).stability
    beside = of(stability, "smia").beside
    assert (beside.same_path, beside.nearer) == (0, 4)
    assert "than under pgd on all 4 images, as its term should make it" in of(stability, "smia").sentence


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        (
            {"along": {"cos_final_half": SAME_DIRECTION}},
            "Its direction hardly changed after mid-run (cosine 0.90)",
        ),
        (
            {"along": {"cos_final_half": SAME_DIRECTION - 0.01}},
            "Its direction changed somewhat after mid-run (cosine 0.89)",
        ),
        (
            {"along": {"cos_final_half": UNRELATED - 0.01}},
            "Its direction changed strongly after mid-run (cosine 0.70; unrelated steps would give 0.71)",
        ),
        ({"along": {"cos_final_half": None}}, "It did not change the image."),
        ({"along": {"half_time": 0.75}}, "The model's answer never settled: it was half-way to the final one only"),
        ({"along": {"half_time": 0.74}}, "The model's answer was half-way to the final one after 74% of the steps"),
        ({"along": {"cos_step": -0.2}}, "successive steps go back and forth (mean cosine −0.20)"),
        ({"weight": 0.0}, "has the weight 0 and has no effect"),
        ({"weight": 0.5}, "No attack without a stabilisation term was traced to compare it with"),
        (
            {"draws": True, "starts": 3},
            "All 3 starts agree on which images are beaten; the spread of their final changes at a pixel is 0.50 eps",
        ),
        (
            {"draws": True, "starts": 2, "restarts": {"differing": {"value": 0.25, "count": 1, "total": 4}}},
            "On 1 of 4 images some of the 2 starts win and others do not",
        ),
        (
            {"draws": True, "starts": 3, "restarts": {"change": 0.05}},
            "at a pixel is 0.05 eps, so they are nearly the same",
        ),
        ({"draws": True, "starts": 2}, "(unrelated changes would give 0.71)"),
        ({"state": "no gradient"}, "Not traced: it does not follow a gradient"),
    ],
)
def test_each_case_has_its_sentence(figures, says):
    assert says in sentence(made(**figures), "linf")


@pytest.mark.parametrize(
    ("nearer", "says"),
    [
        (4, "than under bim on all 4 images, as its term should make it."),
        (3, "than under bim on 3 of 4 images."),
        (2, "The stabilisation term had no measurable effect on these 4 images: its answer is nearer"),
        (None, "was not measured (smoothed = false)"),
    ],
)
def test_a_stabilised_attack_is_compared_with_the_attack_without_its_term(nearer, says):
    beside = PlainComparison(attack="bim", images=4, same_path=1, comparable=True, nearer=nearer)
    text = sentence(made(weight=0.5, beside=beside), "linf")
    assert says in text and "On 1 of 4 images it takes exactly the path of bim." in text


def test_attacks_that_smooth_differently_are_not_compared(tmp_path):
    run = make_run(tmp_path / "run", attacks=("pgd", "smia"), pictures=0)
    add_traces(run, {"pgd": WALKS["pgd"], "smia": WALKS["smia"]})
    stored = run.describe()
    stored["attacks"][1]["parameters"]["smooth"] = "image"
    run.save_description(stored)
    one = of(measure(run).stability, "smia")
    assert (one.beside.comparable, one.beside.nearer) == (False, None)
    assert "cannot be compared with pgd, whose trace smooths differently" in one.sentence


def test_only_an_l_inf_ball_has_a_measure_for_unrelated_signs():
    assert "unrelated changes" not in sentence(made(draws=True, starts=3), "l2")
    rng = np.random.default_rng(0)
    for starts in (2, 3, 5):
        signs = rng.choice([-1.0, 1.0], size=(starts, 200_000))
        assert independent(starts) == pytest.approx(signs.std(axis=0, ddof=1).mean(), abs=5e-3)


def test_all_attacks_together_are_counted():
    late = made(attack="slow", along={"half_time": 0.9, "cos_final_half": 0.5})
    single = made(attack="fgsm", steps=1)
    assert stability_words.sentences([made(), late, single]) == [
        "1 of 2 attacks kept their direction after mid-run; under slow the model's answer never settled."
    ]
    assert stability_words.sentences([made(), made()])[0] == (
        "All 2 attacks kept their direction after mid-run; the model's answers were half-way to the final ones before "
        "three quarters of the steps."
    )
    assert stability_words.sentences([single])[0].startswith("All traced attacks take one step")
    assert stability_words.sentences([made(state="no gradient")]) == ["No attack was traced."]
    assert stability_words.sentences([late])[0].startswith("The attack that was traced over several steps did not keep")
