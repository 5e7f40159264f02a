from __future__ import annotations

import numpy as np

from palpate.metrics.clinical import INVENTED, MISSED, attacked_directions, clean_directions, worst_directions
from tests.metrics.handmade import panel, record

DISEASE = (2, 3)


def grades(attack, goal, decided, **fields):
    """Four images of grade 0, 1, 2, 3 that the model has right, but for the last, which it calls healthy."""
    clean = [0, 1, 2, 0]
    return [
        record(row, attack=attack, goal=goal, label=row, clean_prediction=clean[row], prediction=grade, **fields)
        for row, grade in enumerate(decided)
    ]


def test_directions_of_clean_images():
    made = panel(grades("pgd", "untargeted", [0, 1, 2, 0]))
    shares = clean_directions(made.images, DISEASE)
    assert (shares[MISSED].count, shares[MISSED].total) == (1, 2)
    assert (shares[INVENTED].count, shares[INVENTED].total) == (0, 2)


def test_a_change_of_grade_within_disease_is_not_missed():
    made = panel(grades("pgd", "untargeted", [1, 2, 3, 0]))
    shares = attacked_directions(made.images, made.outcomes[0], 0, DISEASE)
    assert shares[MISSED].count == 1 and shares[INVENTED].count == 1


def test_the_worst_case_joins_all_goals_and_the_clean_errors():
    records = grades("pgd", "untargeted", [0, 2, 3, 3]) + grades("hide", "hide disease", [0, 1, 1, 0])
    made = panel(records)
    shares = worst_directions(made.images, made.outcomes, 1.0, DISEASE)
    assert (shares[MISSED].count, shares[MISSED].total) == (2, 2)
    assert (shares[INVENTED].count, shares[INVENTED].total) == (1, 2)


def test_a_witness_beyond_the_budget_does_not_count():
    made = panel(grades("loose", "hide disease", [0, 1, 1, 0], linf=9.0))
    assert worst_directions(made.images, made.outcomes, 1.0, DISEASE)[MISSED].count == 1
    assert worst_directions(made.images, made.outcomes, 9.0, DISEASE)[MISSED].count == 2


def test_without_disease_images_the_rate_is_nan():
    made = panel([record(0, label=0)])
    assert np.isnan(clean_directions(made.images, DISEASE)[MISSED].value)
