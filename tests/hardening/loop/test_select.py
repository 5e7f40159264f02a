"""Which epoch is chosen, when the training goes back, and when it stops: on scores made up for the purpose."""

import math

import pytest

from palpate.hardening.contracts import EpochRow
from palpate.hardening.loop.collapse import collapsed, stretch
from palpate.hardening.loop.select import decide, is_best
from palpate.hardening.loop.state import State
from tests.hardening.loop.tiny import settings

EPS = 4.0


def row(epoch: int, clean: float, robust: float, single: float | None = None, eps: float = EPS) -> EpochRow:
    eps = eps if epoch else 0.0
    return EpochRow(epoch, "fast", eps, 0.1, 1.0, clean, robust, robust if single is None else single, 0.0, 1.0)


def followed(rows: list[EpochRow], **changes: object) -> tuple[list[str], State]:
    """The actions after each epoch, and the state after all."""
    state, plan = State(rows=rows[:1]), settings(**{"epochs": len(rows), **changes})
    actions = []
    for one in rows[1:]:
        decision = decide(state, one, plan, EPS, "pgd")
        state.rows.append(one)
        actions.append(decision.action)
        if decision.best:
            state.best = one.epoch
        if decision.action in ("slower", "switch"):
            state.rollbacks += decision.action == "slower"
            state.fallen_back |= decision.action == "switch"
            state.since, state.begun, state.below = state.best, one.epoch + 1, 0
        if decision.event:
            state.happened(decision.event)
    return actions, state


# -- the best epoch ----------------------------------------------------------------------------------------------


def test_the_best_epoch_has_the_highest_robust_score_above_the_clean_floor():
    rows = [row(0, 0.90, 0.2), row(1, 0.89, 0.5), row(2, 0.87, 0.7), row(3, 0.885, 0.55), row(4, 0.90, 0.52)]
    _, state = followed(rows, lose_at_most=0.02)
    assert state.best == 3, "epoch 2 is below the floor of 0.88"


def test_what_may_be_lost_is_counted_to_the_last_digit():
    rows = [row(0, 0.9, 0.2)]
    assert is_best(rows, 0, row(1, 0.9 - 0.02, 0.5), 0.02), "exactly 2 points may be lost"
    assert not is_best(rows, 0, row(1, 0.8799, 0.5), 0.02)


def test_no_epoch_is_chosen_if_none_is_better():
    assert followed([row(0, 0.9, 0.4), row(1, 0.9, 0.4), row(2, 0.9, 0.3)])[1].best == 0
    assert followed([row(0, 0.9, 0.4), row(1, 0.5, 0.5)])[1].best == 0, "more robust, but far below the floor"


# -- the floor ---------------------------------------------------------------------------------------------------


def test_two_epochs_in_a_row_below_the_floor_go_back_and_a_second_time_stops():
    low = 0.8
    actions, state = followed(
        [row(0, 0.9, 0.2), row(1, 0.9, 0.3), row(2, low, 0.3), row(3, low, 0.3), row(4, low, 0.3), row(5, low, 0.3)]
    )
    assert actions == ["go on", "go on", "slower", "go on", "stop"]
    assert "below the floor of 0.880 for the second time" in state.events[0] and "epoch 1" in state.events[0]
    assert "second rollback" in state.events[1]


def test_one_epoch_below_the_floor_changes_nothing():
    actions, state = followed([row(0, 0.9, 0.2), row(1, 0.8, 0.3), row(2, 0.9, 0.3), row(3, 0.8, 0.3)])
    assert actions == ["go on"] * 3
    assert state.events == []


# -- catastrophic overfitting ------------------------------------------------------------------------------------


def test_a_collapse_goes_back_and_switches_the_recipe():
    rows = [row(0, 0.9, 0.3, 0.4), row(1, 0.9, 0.5, 0.6), row(2, 0.9, 0.02, 0.85)]
    actions, state = followed(rows)
    assert actions == ["go on", "switch"]
    text = (
        "rose from 0.60 to 0.85, and that under the attack that chooses the epoch fell from 0.50 to 0.02. "
        "Rolled back to epoch 1; the recipe"
    )
    assert text in state.events[0] and state.events[0].endswith("is pgd.")


def test_a_collapse_in_the_last_epoch_promises_no_other_training():
    rows = [row(0, 0.9, 0.3, 0.4), row(1, 0.9, 0.5, 0.6), row(2, 0.9, 0.02, 0.85)]
    _, state = followed(rows, epochs=2)
    assert state.events[0].endswith("This was the last epoch; epoch 1 is the best.")


def test_a_collapse_in_the_first_epoch_is_seen_against_the_model_before():
    assert followed([row(0, 0.9, 0.3, 0.4), row(1, 0.9, 0.0, 0.9)])[0] == ["switch"]


def test_a_collapse_is_seen_where_the_single_step_only_stays():
    actions, state = followed([row(0, 0.9, 0.3, 0.5), row(1, 0.9, 0.15, 0.5)])
    assert actions == ["switch"] and "one step stayed at 0.50, and" in state.events[0]
    actions, state = followed([row(0, 0.9, 0.5, 0.5), row(1, 0.9, 0.2, 0.43)])
    assert actions == ["switch"] and "fell only from 0.50 to 0.43" in state.events[0]


def test_a_slow_collapse_is_seen_against_the_best_epoch():
    rows = [row(0, 0.9, 0.2), row(1, 0.9, 0.5, 0.6), row(2, 0.9, 0.44, 0.62), row(3, 0.9, 0.39, 0.65)]
    assert followed(rows)[0] == ["go on", "go on", "switch"], "no two neighbours differ by a tenth"


@pytest.mark.parametrize(
    "after",
    [row(1, 0.9, 0.41, 0.9), row(1, 0.9, 0.2, 0.42), row(1, 0.9, 0.6, 0.7), row(1, 0.9, 0.2, 0.9, eps=0)],
    ids=["fell by less than a tenth", "the single step falls too", "both rise", "trained without an attack"],
)
def test_what_is_no_collapse(after):
    assert collapsed([row(0, 0.9, 0.5, 0.5)], after) is None


def test_a_second_collapse_under_the_fallback_goes_back_more_slowly_and_the_next_stops():
    rows = [row(0, 0.9, 0.3, 0.4), *(row(epoch, 0.9, 0.0, 0.9) for epoch in (1, 2, 3))]
    assert followed(rows)[0] == ["switch", "slower", "stop"]


def test_a_growing_budget_is_compared_from_the_last_epoch_without_attack():
    # The clean epochs cost robustness; the first attacked epoch must not be blamed for it.
    rows = [row(0, 0.9, 0.5, 0.5), row(1, 0.9, 0.2, 0.5, eps=0), row(2, 0.9, 0.25, 0.6, eps=2)]
    assert [one.epoch for one in stretch(rows[:2], 0, 1)] == [1]
    assert followed(rows)[0] == ["go on", "go on"]


def test_after_a_rollback_the_epochs_before_it_are_forgotten():
    rows = [row(0, 0.9, 0.2), row(1, 0.9, 0.4), row(2, 0.8, 0.9), row(3, 0.8, 0.9)]
    assert [one.epoch for one in stretch(rows, since=1, begun=4)] == [1]


# -- nothing can be learnt ---------------------------------------------------------------------------------------


def nothing(answers: float, constant: float, robust: float = 0.0, clean: float = 0.9, **changes: object):
    state = State(rows=[row(0, 0.9, 0.0)])
    state.sums.add(1.0, 1.0, answers, constant, 10)
    return decide(state, row(changes.pop("epoch", 1), clean, robust), settings(epochs=4, **changes), 4.0, "pgd"), state


def test_a_budget_at_which_nothing_can_be_learnt_is_named_with_a_fix():
    decision, _ = nothing(0.693, 0.693)
    assert decision.action == "stop"
    for text in ("eps = 4", "0.693", "robust score is 0.000", "such as 1", "ramp"):
        assert text in decision.event


def test_a_model_that_gives_one_answer_to_everything_has_learnt_nothing():
    assert nothing(0.693, 0.693, robust=0.5, clean=0.5)[0].action == "stop"


@pytest.mark.parametrize(
    ("numbers", "changes"),
    [((0.5, 0.693), {}), ((0.693, 0.693), {"robust": 0.3}), ((math.nan, 0.693), {})],
    ids=["loss below a constant answer", "some images withstand", "answers could not be compared"],
)
def test_what_has_learnt_goes_on(numbers, changes):
    assert nothing(*numbers, **changes)[0].action == "go on"


def test_it_is_asked_once_after_the_slow_start():
    state = State(rows=[row(0, 0.9, 0.0)])
    state.sums.add(1.0, 1.0, 0.7, 0.69, 10)
    long = settings(epochs=12)
    assert decide(state, row(2, 0.9, 0.0), long, EPS, "pgd").action == "go on", "the rate is still rising"
    assert decide(state, row(2, 0.9, 0.0, eps=3.0), settings(epochs=4), EPS, "pgd").action == "go on", "3 of 4"
    assert decide(state, row(3, 0.9, 0.0), long, EPS, "pgd").action == "stop"
    state.learnt = True
    assert decide(state, row(3, 0.9, 0.0), long, EPS, "pgd").action == "go on"


@pytest.mark.parametrize(("loss", "action"), [(0.9, "go on"), (0.99, "stop"), (1.1, "stop")])
def test_a_loss_that_still_falls_is_learning_however_high_it_is(loss, action):
    state = State(rows=[row(0, 0.9, 0.0), row(1, 0.9, 0.0)])
    state.sums.add(1.0, 1.0, 4.6, 1.6, 10)
    assert decide(state, row(2, 0.9, 0.0)._replace(loss=loss), settings(epochs=6), EPS, "pgd").action == action


# -- patience ----------------------------------------------------------------------------------------------------


def test_patience_counts_epochs_at_the_full_budget():
    rows = [row(0, 0.9, 0.5), *(row(epoch, 0.9, 0.5, eps=1) for epoch in (1, 2, 3)), row(4, 0.9, 0.5), row(5, 0.9, 0.5)]
    actions, state = followed(rows, patience=2)
    assert actions == ["go on"] * 4 + ["stop"]
    assert "no better robust score in 2 epochs" in state.events[0]
