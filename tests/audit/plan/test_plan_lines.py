"""Lines of a plan that wait for the user, and lines that nobody confirmed."""

from pathlib import Path

import pytest

from palpate.audit.plan.lines import marked, unchecked
from palpate.audit.plan.plan import load_plan, parse_plan
from palpate.audit.run.runner import audit
from palpate.errors import PlanError
from tests.audit.tiny import PLAN, write

WAITING = PLAN.replace("bounds = [0, 255]", "bounds = [0, 255]  # FILL IN: lowest and highest value")


def test_a_line_that_waits_stops_the_plan_with_its_number_and_text(tmp_path: Path) -> None:
    number = WAITING.splitlines().index("bounds = [0, 255]  # FILL IN: lowest and highest value") + 1
    with pytest.raises(PlanError) as refused:
        write(tmp_path, WAITING)
    assert f"plan.toml, line {number} needs your value: bounds = [0, 255]  # FILL IN: lowest and h" in str(
        refused.value
    )
    assert "remove the words FILL IN" in str(refused.value)


def test_all_lines_that_wait_are_listed(tmp_path: Path) -> None:
    text = WAITING.replace("std = [127.5]", "std = [127.5]  # FILL IN")
    with pytest.raises(PlanError) as refused:
        write(tmp_path, text)
    listed = str(refused.value).splitlines()[1:]
    assert [line.split(": ", 1)[1].split(" = ")[0] for line in listed] == ["bounds", "std"]
    assert "2 lines need" in str(refused.value)


@pytest.mark.parametrize(
    "harmless",
    [
        "# FILL IN: a line that is a comment only",
        "   # factory = 'x'  # FILL IN",
        'title = "FILL IN # FILL IN"',
        "title = 'it # FILL IN'",
        'title = """\n# FILL IN\n"""',
        "title = '''\nx # FILL IN'''",
        'title = "a \\" # FILL IN"',
    ],
)
def test_comment_lines_and_texts_do_not_wait(tmp_path: Path, harmless: str) -> None:
    text = PLAN.replace('title = "Tiny"', harmless)
    assert write(tmp_path, text).seed == 3


def test_a_mark_behind_a_text_with_a_hash_is_found() -> None:
    (found,) = marked('title = "a # b"  # FILL IN: c', "FILL IN")
    assert (found.line, found.code, found.text) == (1, 'title = "a # b"', "# FILL IN: c")


def test_text_that_is_no_toml_is_told_before_what_waits(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("a = [1  # FILL IN")
    with pytest.raises(PlanError, match="not TOML"):
        load_plan(tmp_path / "plan.toml")


def test_a_draft_can_be_parsed(tmp_path: Path) -> None:
    assert parse_plan(WAITING, tmp_path / "plan.toml").model.bounds == (0, 255)


def test_lines_to_check_are_a_note_and_do_not_stop(tmp_path: Path) -> None:
    text = PLAN.replace("bounds = [0, 255]", "bounds = [0, 255]  # CHECK").replace("tries = 2", "tries = 2 # CHECK: it")
    plan = write(tmp_path, text)
    outcome = audit(plan, tmp_path / "run")
    assert outcome.passed
    (note,) = [finding for finding in outcome.findings if finding.subject == "plan"]
    assert note.level == "note" and note.text == unchecked(text)
    numbers = [number for number, line in enumerate(text.splitlines(), 1) if "# CHECK" in line]
    assert f"{numbers[0]} (bounds), {numbers[1]} (tries)" in note.text


def test_without_a_mark_nothing_is_said() -> None:
    assert unchecked(PLAN) is None
