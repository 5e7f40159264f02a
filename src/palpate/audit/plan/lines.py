"""Lines of a plan that are marked: some need a value from the user, some are guesses that nobody has confirmed."""

from __future__ import annotations

from pathlib import Path

from palpate.audit.plan.toml_lines import Comment, comments
from palpate.audit.plan.toml_words import CHECK, FILL_IN
from palpate.errors import PlanError


def marked(text: str, mark: str) -> list[Comment]:
    """The lines whose comment carries a mark, `FILL IN` or `CHECK`. Lines that are a comment only do not count."""
    return [comment for comment in comments(text) if mark in comment.text]


def require_filled_in(text: str, origin: Path) -> None:
    """Refuse a plan with lines that still need a value from the user.

    Raises:
        PlanError: each such line, with its number.
    """
    waiting = marked(text, FILL_IN)
    if not waiting:
        return
    fix = f"Write the right value and remove the words {FILL_IN}"
    if len(waiting) == 1:
        raise PlanError(f"{origin}, line {waiting[0].line} needs your value: {_shown(waiting[0])}. {fix}.")
    listed = "".join(f"\n  line {one.line}: {_shown(one)}" for one in waiting)
    raise PlanError(f"{origin}: {len(waiting)} lines need your value. {fix} in each:{listed}")


def unchecked(text: str) -> str | None:
    """A sentence that lists the lines still marked `CHECK`; None if there are none."""
    guessed = marked(text, CHECK)
    if not guessed:
        return None
    lines = ", ".join(f"{one.line}{_key(one.code)}" for one in guessed)
    what = "This line of the plan is" if len(guessed) == 1 else "These lines of the plan are"
    return f"{what} still marked {CHECK}: {lines}. Confirm each value, then remove the word {CHECK}."


def _key(code: str) -> str:
    """The key or the table. The value is left out, because it may name files."""
    key, equals, _ = code.partition("=")
    return f" ({key.strip()})" if equals or code.startswith("[") else ""


def _shown(comment: Comment) -> str:
    return f"{comment.code}  {comment.text}".rstrip(".")
