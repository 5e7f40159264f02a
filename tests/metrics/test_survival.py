from __future__ import annotations

import numpy as np
import pytest

from palpate.errors import InputError
from palpate.metrics.panel import Panel, arrange
from palpate.metrics.survival import saved_difference, saved_success, survival, together
from tests.metrics.handmade import curve, frame, panel, record

NAN = float("nan")


def handled(margins, alone=None, **fields) -> Panel:
    """One attack that beats the images where `success` says so; `margins` are those after one or more handlings."""
    success = fields.pop("success", [True] * len(margins))
    alone = alone or [(0.5,) * len(margins[0])] * len(margins)
    return panel(
        record(row, success=won, margin=-1.0 if won else 1.0, handled=after, clean_handled=before, **fields)
        for row, (won, after, before) in enumerate(zip(success, margins, alone, strict=True))
    )


def counts(share):
    return share.count, share.total


def test_success_before_and_after_by_hand():
    # Beaten and stays; beaten and fixed; on the boundary, which is beaten; beaten by the step alone; never.
    made = handled([(-0.1,), (0.2,), (0.0,), (-0.3,), (0.4,)], success=[True, True, True, False, False])
    one = survival(made.outcomes[0], 0, 0)
    assert (counts(one.before), counts(one.after), counts(one.survived)) == ((3, 5), (2, 5), (2, 3))
    assert counts(one.alone) == (0, 3)


def test_what_the_handling_does_by_itself_is_counted_on_the_clean_image():
    made = handled([(-0.1,), (-0.1,), (-0.1,)], alone=[(-0.2,), (0.0,), (NAN,)])
    assert counts(survival(made.outcomes[0], 0, 0).alone) == (2, 2)


def test_images_that_were_not_eligible_do_not_count():
    rows = [record(0, handled=(-1.0,), eligible=False), record(1, handled=(-1.0,), success=True)]
    one = survival(panel(rows).outcomes[0], 0, 0)
    assert counts(one.before) == counts(one.after) == (1, 1)


def test_what_was_not_measured_does_not_count():
    one = survival(handled([(NAN, -1.0), (0.5, NAN), (-0.5, NAN)]).outcomes[0], 0, 0)
    assert counts(one.before) == (2, 2) and counts(one.after) == (1, 2)
    nothing = survival(handled([(NAN,), (NAN,)]).outcomes[0], 0, 0)
    assert counts(nothing.after) == counts(nothing.survived) == counts(nothing.alone) == (0, 0)
    assert np.isnan(nothing.survived.value)
    assert counts(survival(panel([record(0, success=True)]).outcomes[0], 0, 0).after) == (0, 0), "no handling at all"


def test_an_image_that_withstood_has_nothing_that_could_survive():
    made = handled([(-0.5,), (NAN,), (NAN,)], alone=[(0.5,), (NAN,), (NAN,)], success=[True, False, False])
    one = survival(made.outcomes[0], 0, 0)
    assert counts(one.before) == counts(one.after) == (1, 3) and counts(one.alone) == (0, 1)
    measured = handled([(-0.5,), (0.5,), (-0.5,)], success=[True, False, False])
    assert counts(survival(measured.outcomes[0], 0, 0).after) == (1, 3), "`all` does not change the figures"


def test_records_with_and_without_margins_go_together():
    rows = [record(0, handled=(), clean_handled=()), record(1, handled=(-1.0,), clean_handled=(1.0,), success=True)]
    (outcome,) = panel(rows).outcomes
    assert np.isnan(outcome.handled[0, 0, 0]) and counts(survival(outcome, 0, 0).after) == (1, 2)
    with pytest.raises(InputError, match="different numbers of post-processing steps"):
        arrange(frame([record(0, handled=(1.0,)), record(1, handled=(1.0, 2.0))]))


def test_one_image():
    one = survival(handled([(-1.0,)]).outcomes[0], 0, 0)
    assert (counts(one.before), counts(one.after), counts(one.survived)) == ((1, 1), (1, 1), (1, 1))


def test_together_an_image_lives_on_if_any_attack_s_does_and_keeps_to_the_budget():
    rows = [
        record(row, attack=attack, success=True, handled=(margin,), clean_handled=(1.0,), linf=linf)
        for attack, margins, linf in (("pgd", (-1.0, 1.0, 1.0), 1.0), ("fgsm", (1.0, -1.0, 1.0), 1.0),
                                      ("wide", (-1.0, -1.0, -1.0), 3.0))
        for row, margin in enumerate(margins)
    ]  # fmt: skip
    made = panel(rows)
    one = together(made.outcomes, 1.0, 0, 3)
    assert (counts(one.before), counts(one.after), counts(one.survived)) == ((3, 3), (2, 3), (2, 3))
    assert counts(together(made.outcomes, 9.0, 0, 3).after) == (0, 0), "no such budget"
    assert counts(together((), 1.0, 0, 3).after) == (0, 0)


def test_the_largest_difference_after_saving():
    rows = [record(row, saved_linf=value) for row, value in enumerate((0.0, 0.5, NAN))]
    assert saved_difference(panel(rows).outcomes[0], 0) == 0.5
    assert np.isnan(saved_difference(panel([record(0, saved_linf=NAN)]).outcomes[0], 0))


def test_success_that_saving_takes_away_is_a_warning():
    gone = handled([(0.5,)] * 6 + [(-0.5,)])
    found = saved_success(gone.outcomes, ["saved"], "HU")
    assert found.level == "warning" and "of the 7 images that 'pgd' beat at eps 1 HU, 1 stay beaten" in found.text
    assert found.text.startswith("Most of these") and "threat.lattice = true" in found.text
    assert saved_success(handled([(0.5,)] * 7).outcomes, ["saved"]).text.startswith("These perturbations do not")
    lossy = saved_success(gone.outcomes, ["saved"], lattice=True).text
    assert "robust_to" in lossy and "threat.lattice" not in lossy


def test_success_that_stays_passes_and_what_is_not_known_is_said():
    kept = handled([(-0.5,)] * 6 + [(0.5,)])
    assert saved_success(kept.outcomes, ["saved"]).level == "pass"
    assert "Of 7 successes, 6" in saved_success(kept.outcomes, ["saved"]).text
    assert saved_success(kept.outcomes, ["jpeg75"]).level == "note"
    assert saved_success(panel(curve("pgd", [1.0, 9.0])).outcomes, ["saved"]).level == "note"
    few = handled([(0.5,)] * 4)
    assert saved_success(few.outcomes, ["saved"]).level == "pass", "four images say nothing of a share"


def test_the_handling_is_found_by_its_place():
    made = handled([(0.5, -0.5)] * 6)
    assert saved_success(made.outcomes, ["jpeg75", "saved"]).level == "pass"
    assert saved_success(made.outcomes, ["saved", "jpeg75"]).level == "warning"
