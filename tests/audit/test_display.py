import io

import pytest
from rich.console import Console

from palpate.audit import display
from palpate.audit.display import displayed


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    screen = io.StringIO()
    return Console(file=screen, force_terminal=terminal, width=120, color_system=None), screen


def test_a_terminal_sees_a_bar() -> None:
    shown, screen = console(terminal=True)
    with displayed(shown) as progress:
        progress.message("a [bold]sentence")
        progress.start(90)
        progress.advance("pgd, images 1 to 30", 2.0, 30)
        progress.advance("pgd, images 31 to 60", 1.0, 30)
    seen = screen.getvalue()
    assert "a [bold]sentence" in seen
    assert "pgd, images 31 to 60" in seen and "60/90" in seen and "20.0 images/s" in seen


def test_a_log_sees_few_lines_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, screen = console(terminal=False)
    with displayed(shown) as progress:
        progress.message("a [bold]sentence")
        progress.start(90)
        for first in (1, 31, 61):
            progress.advance(f"pgd, images {first} to {first + 29}", 2.0, 30)
    assert screen.getvalue().splitlines() == [
        "a [bold]sentence",
        "90 of 90 done, 15.0 images/s, 0 s left (pgd, images 61 to 90)",
    ]
    monkeypatch.setattr(display, "EVERY", 0.0)
    with displayed(shown) as progress:
        progress.start(90)
        progress.advance("pgd, images 1 to 30", 2.0, 30)
    assert "30 of 90 done, 15.0 images/s, 4 s left" in screen.getvalue()
