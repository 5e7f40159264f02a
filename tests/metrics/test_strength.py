from __future__ import annotations

import numpy as np

from palpate.metrics.validity import strength
from palpate.metrics.validity.strength import compare, growth, kind, reaches_all, strong_enough, strongest
from tests.metrics.handmade import curve, panel

INF = float("inf")
KINDS = {"noise": "gradient-free", "fgsm": "single-step", "pgd": "iterative", "smia": "iterative"}


def outcomes(**falls):
    backwards = {"noise": 0, "fgsm": 1}
    records = [one for name, values in falls.items() for one in curve(name, values, backwards=backwards.get(name, 10))]
    return panel(records).outcomes


def alone(made):
    """Every image is a separate group."""
    return np.arange(made[0].eligible.size)


def noise_baseline(made, kinds):
    return strength.noise_baseline(made, kinds, alone(made))


def iterations_help(made, kinds):
    return strength.iterations_help(made, kinds, alone(made))


def test_kind_is_read_from_the_passes_and_the_steps():
    noise, fgsm, pgd = outcomes(noise=[INF], fgsm=[INF], pgd=[INF])
    assert [kind(one) for one in (noise, fgsm, pgd)] == ["gradient-free", "single-step", "iterative"]
    assert kind(fgsm, steps=10) == "iterative"
    assert kind(noise, steps=10) == "gradient-free"


def test_compare_pairs_the_shared_budgets():
    first, second = panel(curve("a", [1.0, 2.0], eps=(1.0, 2.0)) + curve("b", [2.0, INF], eps=(2.0, 4.0))).outcomes
    ((eps, pair),) = compare(first, second, np.arange(2))
    assert eps == 2.0 and (pair.both, pair.only_first, pair.only_second, pair.neither) == (1, 1, 0, 0)


def test_strongest_counts_all_budgets():
    made = outcomes(fgsm=[1.0, INF], pgd=[1.0, 4.0])
    best = strongest(made)
    assert best is not None and best.attack == "pgd"
    assert strongest([]) is None


def test_noise_below_the_attacks_passes():
    assert noise_baseline(outcomes(noise=[4.0] + [INF] * 9, pgd=[1.0] * 8 + [INF] * 2), KINDS).level == "pass"


def test_noise_that_beats_the_strongest_attack_fails():
    finding = noise_baseline(outcomes(noise=[2.0] * 10 + [INF] * 2, pgd=[INF] * 10 + [4.0, INF]), KINDS)
    assert finding.level == "failure"
    assert "At eps 2 'noise' beat 10 images and the strongest of the others, 'pgd', only 0." in finding.text


def test_images_of_one_patient_are_no_proof():
    made = outcomes(noise=[2.0] * 10 + [INF] * 2, pgd=[INF] * 10 + [4.0, INF])
    assert strength.noise_baseline(made, KINDS, np.repeat([0, 1, 2], 4)).level == "warning"


def test_several_tests_are_adjusted_for_their_number():
    # Six images that only noise beat: p is 0.03 at one budget, 0.09 over three.
    made = outcomes(noise=[1.0] * 6 + [INF] * 6, pgd=[INF] * 12)
    assert noise_baseline(made, KINDS).level == "warning"
    one = [
        record
        for name in ("noise", "pgd")
        for record in curve(
            name, [1.0 if name == "noise" else INF] * 6 + [INF] * 6, eps=(1.0,), backwards=0 if name == "noise" else 10
        )
    ]
    assert noise_baseline(panel(one).outcomes, KINDS).level == "failure"


def test_noise_that_equals_a_weaker_attack_warns_and_names_it():
    made = outcomes(noise=[4.0] * 3 + [INF] * 7, fgsm=[4.0] * 3 + [INF] * 7, pgd=[1.0] * 9 + [INF])
    finding = noise_baseline(made, KINDS)
    assert finding.level == "warning" and "'fgsm'" in finding.text and "'pgd'" not in finding.text


def test_a_tie_of_nothing_or_of_everything_says_nothing():
    assert noise_baseline(outcomes(noise=[INF] * 9, pgd=[INF] * 9), KINDS).level == "pass"
    assert noise_baseline(outcomes(noise=[1.0] * 9, pgd=[1.0] * 9), KINDS).level == "pass"


def test_a_missing_baseline_is_noted():
    assert noise_baseline(outcomes(pgd=[1.0]), KINDS).level == "note"
    assert noise_baseline(outcomes(noise=[1.0]), KINDS).level == "note"


def test_one_step_that_beats_the_best_iterative_attack_fails():
    finding = iterations_help(outcomes(fgsm=[1.0] * 9 + [INF] * 3, pgd=[INF] * 12), KINDS)
    assert finding.level == "failure" and "'fgsm' beat 9" in finding.text


def test_one_step_ahead_by_an_image_warns_for_the_best_and_not_for_the_others():
    tied = [1.0] * 5 + [INF] * 5
    warned = iterations_help(outcomes(fgsm=[1.0] * 6 + [INF] * 4, pgd=[*tied[:-1], 2.0]), KINDS)
    assert warned.level == "warning" and "'pgd'" in warned.text
    calm = iterations_help(outcomes(fgsm=[1.0] * 6 + [INF] * 4, smia=tied, pgd=[1.0] * 9 + [INF]), KINDS)
    assert calm.level == "pass"


def test_equal_single_and_iterative_attacks_pass():
    assert iterations_help(outcomes(fgsm=[1.0, INF], pgd=[1.0, INF]), KINDS).level == "pass"
    assert iterations_help(outcomes(pgd=[1.0, INF]), KINDS).level == "note"


def checked_growth(made):
    return growth(made.images, made.outcomes)


def test_growth_passes_and_a_stuck_run_fails():
    assert checked_growth(panel(curve("pgd", [1.0, 2.0, 4.0, INF]))).level == "pass"
    assert checked_growth(panel(curve("pgd", [1.0, 1.0, INF]))).level == "failure"


def test_one_flat_attack_next_to_a_growing_one_warns():
    finding = checked_growth(panel(curve("pgd", [1.0, 2.0, INF]) + curve("fgsm", [1.0, INF, INF])))
    assert finding.level == "warning" and "'fgsm' beats no more images" in finding.text and "'pgd'" not in finding.text


def test_an_attack_that_loses_images_at_a_larger_budget_warns():
    records = curve("pgd", [1.0, 1.0, INF], eps=(1.0,)) + curve("pgd", [2.0, INF, INF], eps=(2.0,))
    finding = checked_growth(panel(records))
    assert finding.level == "warning" and "'pgd' beats fewer images" in finding.text


def test_all_beaten_at_every_budget_is_no_defect():
    assert checked_growth(panel(curve("pgd", [1.0, 1.0]))).level == "pass"


def checked_reach(made, extent):
    return reaches_all(made.images, made.outcomes, extent)


def test_large_budgets_must_win():
    resisting = panel(curve("pgd", [1.0, INF]))
    assert checked_reach(resisting, 255.0).level == "warning"
    assert "4 (1.57% of the range), 1 of 2" in checked_reach(resisting, 255.0).text
    assert checked_reach(resisting, 8.0).level == "failure"
    assert checked_reach(panel(curve("pgd", [1.0, 4.0])), 255.0).level == "pass"


def test_half_the_range_in_another_norm_is_no_proof():
    resisting = panel(curve("pgd", [1.0, INF], norm="l2", l2=1.0))
    assert checked_reach(resisting, 8.0).level == "warning"


def test_strength_needs_an_iterative_attack():
    assert strong_enough(outcomes(pgd=[1.0]), KINDS).level == "pass"
    assert strong_enough(outcomes(fgsm=[1.0], noise=[1.0]), KINDS).level == "failure"
    assert strong_enough((), KINDS).level == "note"
