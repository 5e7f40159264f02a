"""Indicators and judgements from small panels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from palpate.metrics.validity.indicators import FREE, OF_PROBE, SILENT, TRANSFER, UNAVAILABLE, UNSTABLE, WEAK
from palpate.metrics.validity.quality import Evidence, ProbeOutcome, attack_quality, precision
from palpate.metrics.validity.survivors import survivors
from tests.metrics.panels import images, outcome

COUNT = 20
KINDS = {"pgd": "iterative", "noise": "gradient-free", "fgsm": "single-step"}
CLEAN = tuple(ProbeOutcome(probe, "it", 8, 8 if probe == "large radius" else 0) for probe in OF_PROBE)


def evidence(*outcomes, probes=CLEAN, **more) -> Evidence:
    return Evidence(outcomes, KINDS, probes, **{"survivors": COUNT - 5, "eps": "8", **more})


def pgd(won: int = 5, name: str = "pgd", first: int = 0, **more):
    success = np.zeros((1, COUNT), dtype=bool)
    success[0, first : first + won] = True
    return outcome(name, success, backwards=0 if name == "noise" else 20, **more)


def fired(judged) -> list[str]:
    return [one.name for one in judged.indicators if one.sign == "fired"]


def with_probe(probe: str, won: int) -> tuple[ProbeOutcome, ...]:
    return tuple(replace(one, won=won) if one.probe == probe else one for one in CLEAN)


def test_quality_is_high_where_nothing_wins():
    judged = attack_quality(evidence(pgd()))
    assert judged.degree == "high" and not judged.indicators and "8 of the 15 images" in judged.reasons[0]


def test_quality_is_high_where_nothing_is_left():
    judged = attack_quality(evidence(pgd(COUNT), probes=(), survivors=0))
    assert judged.degree == "high" and "every image" in judged.reasons[0]


@pytest.mark.parametrize(("probe", "name"), OF_PROBE.items())
def test_each_probe_fires_its_own_indicator(probe, name):
    won = 6 if probe == "large radius" else 4
    judged = attack_quality(evidence(pgd(), probes=with_probe(probe, won)))
    assert judged.degree == "low" and fired(judged) == [name] and judged.indicators[0].fix


def test_one_image_is_a_doubt_and_makes_quality_medium():
    judged = attack_quality(evidence(pgd(), probes=with_probe("more steps", 1)))
    assert judged.degree == "medium" and fired(judged) == [] and judged.indicators[0].sign == "doubt"


def test_two_of_many_are_a_doubt():
    probes = (ProbeOutcome("more steps", "it", 20, 2), ProbeOutcome("large radius", "it", 20, 20))
    assert attack_quality(evidence(pgd(), probes=probes)).degree == "medium"


def test_misleading_gradients_do_not_stand_beside_what_they_explain():
    probes = tuple(
        replace(one, won=8) if one.probe in ("gradient check", "estimated gradients") else one for one in CLEAN
    )
    assert fired(attack_quality(evidence(pgd(), probes=probes))) == [TRANSFER]


def test_unstable_decisions_explain_everything():
    judged = attack_quality(evidence(pgd(), probes=with_probe("more steps", 8), unstable="Two passes differ."))
    assert judged.degree == "low" and fired(judged) == [UNSTABLE]


def test_broken_and_blocked_images_count_only_where_nothing_beat_them():
    some = np.zeros((1, COUNT), dtype=bool)
    some[0, :7] = True
    assert fired(attack_quality(evidence(pgd(non_finite=some)))) == [SILENT]
    assert fired(attack_quality(evidence(pgd(blocked_gradient=some)))) == [UNAVAILABLE]
    assert not fired(attack_quality(evidence(pgd(7, non_finite=some))))


def test_noise_that_wins_alone_fires():
    noise = pgd(3, "noise", first=5)
    assert fired(attack_quality(evidence(pgd(), noise))) == [WEAK]
    assert attack_quality(evidence(pgd(), pgd(3, "noise"))).degree == "high"


def test_wins_of_a_stage_without_gradients_are_those_of_a_search():
    stage = np.full((1, COUNT), "margin", dtype=object)
    stage[0, 3:5] = "square"
    one, searches = pgd(stage=stage), {"pgd": ("square",)}
    assert fired(attack_quality(evidence(one, searches=searches))) == [FREE]
    assert (
        not fired(attack_quality(evidence(one)))
        and attack_quality(evidence(one, searches={"pgd": ()})).degree == "high"
    )
    # Another attack climbed to the same images, so gradients lead there too.
    kinds = {**KINDS, "bim": "iterative"}
    both = Evidence((one, pgd(name="bim")), kinds, CLEAN, COUNT - 5, "8", searches=searches)
    assert not fired(attack_quality(both))


def test_few_probed_images_are_named_with_their_reason():
    few = tuple(replace(one, tried=3, won=min(one.won, 3)) for one in CLEAN)
    judged = attack_quality(evidence(pgd(), probes=few))
    assert judged.degree == "medium" and judged.reasons == ("Only 3 images were probed; write quality.images = 8.",)
    assert attack_quality(evidence(pgd(), probes=())).reasons == ("No image was probed; write quality.images = 8.",)
    (reason,) = attack_quality(evidence(pgd(), probes=few, share=0.65)).reasons
    assert "only a share" in reason and reason.endswith("write quality.share = 0.65.")
    assert attack_quality(evidence(pgd(), probes=few, survivors=3)).degree == "high", "all that are left"


def test_what_an_attack_contains_is_said_and_not_probed():
    done = ("more starts", "gradient-free search")
    ran = tuple(one for one in CLEAN if one.probe not in done)
    (said,) = attack_quality(evidence(pgd(), probes=ran, done=done, by="strongest")).reasons
    assert "withstood what strongest contains: more starts, a gradient-free search." in said
    assert said.index("more steps") < said.index("beat them: ") + 20 and said.count("more starts") == 1


def test_without_a_search_of_another_kind_quality_is_not_known():
    assert attack_quality(evidence(pgd(), probes=None)).degree == "not known"
    assert attack_quality(evidence(pgd(), probes=())).degree == "not known", "no image could be probed"
    assert attack_quality(evidence(pgd(), pgd(name="noise"), probes=None)).degree == "not known", "noise is no search"
    broken = np.zeros((1, COUNT), dtype=bool)
    broken[0, -1] = True
    assert attack_quality(evidence(pgd(non_finite=broken), probes=None)).degree == "medium", "a doubt was seen"
    assert attack_quality(evidence(pgd(), probes=None, searches={"pgd": ("square",)})).degree == "medium"
    kinds = {**KINDS, "square": "gradient-free"}
    square = replace(pgd(name="square"), forwards=np.full(COUNT, 500))
    both = Evidence((pgd(), square), kinds, None, COUNT - 5, "8")
    assert attack_quality(both).degree == "medium"
    assert attack_quality(evidence(pgd(COUNT), probes=None, survivors=0)).degree == "high", "nothing was missed"


def test_what_is_missing_makes_quality_medium_or_low():
    assert attack_quality(evidence(pgd(), finished=False)).degree == "low"
    assert attack_quality(evidence(pgd(), failures=("An attack never ran.",))).reasons[0] == "An attack never ran."
    assert attack_quality(evidence(pgd(name="noise"), gradients=False)).degree == "medium"
    assert attack_quality(evidence(pgd(name="fgsm"))).degree == "low"
    assert attack_quality(evidence()).degree == "low"


def test_survivors_are_taken_at_the_largest_budget_that_leaves_enough():
    success = np.zeros((2, COUNT), dtype=bool)
    success[0, :5], success[1, :18] = True, True
    one = outcome("pgd", success, eps=(1.0, 2.0))
    everyone = images(COUNT)
    assert survivors(everyone, [one], 2).eps == 2.0 and survivors(everyone, [one], 2).rows == (18, 19)
    assert survivors(everyone, [one], 8).eps == 1.0 and len(survivors(everyone, [one], 8).rows) == 15


def test_silent_and_blocked_images_are_no_survivors():
    success = np.zeros((1, COUNT), dtype=bool)
    broken, stuck = success.copy(), success.copy()
    broken[0, 0], stuck[0, 1] = True, True
    found = survivors(images(COUNT), [outcome("pgd", success, non_finite=broken, blocked_gradient=stuck)], 8)
    assert found.silent == (0,) and found.blocked == (1,) and found.rows == tuple(range(2, COUNT))


@pytest.mark.parametrize(
    ("low", "high", "total", "degree"),
    [(0.5, 0.6, 300, "high"), (0.5, 0.61, 300, "medium"), (0.4, 0.61, 80, "low"), (0.0, 0.05, 9, "low")],
)
def test_precision_follows_the_width(low, high, total, degree):
    judged = precision(low, high, total, total, False)
    assert judged.degree == degree and f"{low:.1%} to {high:.1%}" in judged.reasons[0]


def test_few_patients_and_no_interval_are_not_precise():
    assert precision(0.5, 0.55, 300, 10, True).degree == "medium"
    assert precision(None, None, 0, 0, False).degree == "low"


def test_images_for_a_narrow_interval_grow_with_the_square_of_the_width():
    assert "about 400" in precision(0.3, 0.5, 100, 100, False).reasons[1]


def both(first: np.ndarray, second: np.ndarray, eps=(8.0,)):
    """The judgement of two climbs without probes."""
    climbs = outcome("pgd", first, eps=eps), outcome("smia", second, eps=eps)
    return attack_quality(Evidence(climbs, {"pgd": "iterative", "smia": "iterative"}, None))


def test_attacks_that_together_beat_every_image_at_every_budget_missed_nothing():
    fell = np.arange(COUNT)[None] < 12
    assert both(fell, ~fell).degree == "high" and "missed nothing" in both(fell, ~fell).reasons[0]
    one_left = ~fell & (np.arange(COUNT) > 12)
    assert both(fell, one_left).degree == "not known" and "were not probed" in both(fell, one_left).reasons[0]


def test_images_that_only_a_larger_budget_beat_may_have_been_missed_at_the_smaller():
    fell = np.stack([np.arange(COUNT) < 12, np.ones(COUNT, dtype=bool)])
    assert both(fell, fell, eps=(4.0, 8.0)).degree == "not known"
