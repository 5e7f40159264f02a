"""The section of a plan that says how many images are traced, and the sentence for what it gets wrong."""

import pytest

from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.sections.stability import StabilitySection
from palpate.audit.work.traces import budget
from palpate.errors import PlanError
from tests.audit.plan.test_plan import GOOD, ORIGIN


def test_attacks_are_traced_unless_told() -> None:
    assert parse_plan(GOOD, ORIGIN).stability == StabilitySection(images=4, starts=3, smoothed=True)


def test_what_is_written_is_read() -> None:
    plan = parse_plan(f"{GOOD}[stability]\nimages = 0\nstarts = 1\nsmoothed = false\n", ORIGIN)
    assert plan.stability == StabilitySection(images=0, starts=1, smoothed=False)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("images = -1", "stability.images: -1 must be 0 or more."),
        ("images = 1001", "stability.images: 1001 must be 1000 or less."),
        ("images = 2.5", "stability.images: 2.5 must be a whole number. For example: images = 4."),
        ("starts = 0", "stability.starts: 0 must be 1 or more."),
        ("starts = 101", "stability.starts: 101 must be 100 or less."),
        ('smoothed = "no"', 'stability.smoothed: "no" must be true or false.'),
        ("pictures = 4", "stability.pictures: there is no such field."),
    ],
)
def test_what_is_wrong_is_said_with_its_line(written: str, said: str) -> None:
    text = f"{GOOD}[stability]\n{written}\n"
    with pytest.raises(PlanError) as caught:
        parse_plan(text, ORIGIN)
    assert f"line {len(text.splitlines())}: {said}" in str(caught.value)


@pytest.mark.parametrize(("eps", "middle"), [("[3]", 3), ("[4, 1]", 1), ("[1, 4, 2]", 2), ("[1, 2, 8, 4]", 2)])
def test_the_middle_budget_is_traced(eps: str, middle: float) -> None:
    text = GOOD.replace('eps = ["0.25/255", "1%",\n  4.0]', f"eps = {eps}").partition("[[gates]]")[0]
    assert budget(parse_plan(text, ORIGIN)) == middle
