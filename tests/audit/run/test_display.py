import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from palpate.audit.run import display
from palpate.audit.run.display import displayed
from palpate.audit.run.progress import Finer, doing, loading
from palpate.audit.run.runner import audit
from tests.audit import tiny


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
    assert "pgd, images 31 to 60" in seen and "60/90" in seen and "20.0 per second" in seen


def test_a_log_sees_few_lines_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, screen = console(terminal=False)
    with displayed(shown) as progress:
        progress.message("a [bold]sentence")
        progress.start(90)
        for first in (1, 31, 61):
            progress.advance(f"pgd, images {first} to {first + 29}", 2.0, 30)
    assert screen.getvalue().splitlines() == [
        "a [bold]sentence",
        "90 of 90 done, 15.0 per second, 0 s left (pgd, images 61 to 90)",
    ]
    monkeypatch.setattr(display, "EVERY", 0.0)
    with displayed(shown) as progress:
        progress.start(90)
        progress.advance("pgd, images 1 to 30", 2.0, 30)
        progress.within("pgd, images 31 to 60", 2.0, 30)
        progress.advance("pgd, images 31 to 60", 2.0, 30)
    assert "30 of 90 done, 15.0 per second, 4 s left" in screen.getvalue()
    assert screen.getvalue().count("60 of 90 done") == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_it_moves_inside_a_shard_and_counts_each_image_once(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "EVERY", 0.0)
    shown, screen = console(terminal=terminal)
    with displayed(shown) as progress:
        assert isinstance(progress, Finer)
        progress.start(6)
        for _ in range(3):
            progress.within("pgd, images 1 to 3", 40.0, 1)
        assert ("3 of 6 done, 40.0 s each, 120 s left" in screen.getvalue()) or terminal
        progress.advance("pgd, images 1 to 3", 120.0, 3)
        progress.within("pgd, images 4 to 6", 40.0, 1)
        progress.advance("pgd, images 4 to 6", 120.0, 3)
    assert "40.0 s each" in screen.getvalue()
    assert ("6/6" if terminal else "6 of 6 done") in screen.getvalue() and "7" not in screen.getvalue().split("done")[0]


def test_what_begins_is_named_once_it_takes_long_and_says_nothing_of_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for patience, said in ((60.0, False), (0.0, True)):
        monkeypatch.setattr(display, "PATIENCE", patience)
        shown, screen = console(terminal=False)
        with displayed(shown) as progress:
            progress.start(2)
            doing(progress, "untargeted, probed on 2 images: more steps")
            time.sleep(0.2)
            line = "0 of 2 done, now untargeted, probed on 2 images: more steps.\n"
            assert screen.getvalue() == (line if said else "")


def test_the_pace_is_a_number_that_can_be_read() -> None:
    assert [display.pace(images, seconds) for images, seconds in ((0, 3.0), (1, 90.0), (30, 2.0), (1, 0.0))] == [
        "",
        "90.0 s each",
        "15.0 per second",
        "1000000000.0 per second",
    ]


def test_what_is_loaded_is_said_at_once_in_a_terminal_and_in_a_log_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for terminal, patience, said in ((True, 60.0, True), (False, 60.0, False), (False, 0.0, True)):
        monkeypatch.setattr(display, "PATIENCE", patience)
        shown, screen = console(terminal=terminal)
        with displayed(shown) as progress:
            loading(progress, "Loading the model.")
            time.sleep(0.2)
            assert ("Loading the model." in screen.getvalue()) == said
            progress.start(1)


def test_an_audit_says_what_it_loads_and_moves_by_batches(tmp_path: Path) -> None:
    # Images of a batch are finished together: one at a time, the first would have the time of all of them.
    class Listener(tiny.Heard):
        moved: tuple[int, ...] = ()

        def within(self, shard: str, seconds: float, images: int) -> None:
            self.moved += (images,)

        def loading(self, text: str) -> None:
            self.messages.append(text)

    heard = Listener(stop_after=2)
    audit(tiny.write(tmp_path / "plan"), tmp_path / "run", progress=heard)
    assert heard.messages[:2] == ["Reading the images and their labels.", "Found 12 images. Loading the model."]
    assert heard.moved == (3, 2, 3, 2), "two shards of five images, in batches of up to three"


def test_each_probe_and_each_trace_is_named_before_it_runs(tmp_path: Path) -> None:
    class Listener(tiny.Heard):
        begun: tuple[str, ...] = ()

        def within(self, shard: str, seconds: float, images: int) -> None:
            self.begun += (shard,)

        def loading(self, text: str) -> None:
            self.messages.append(text)

    plan = tiny.write(tmp_path / "plan", tiny.PLAN.replace("[quality]\nimages = 0", "[quality]\nimages = 2"))
    audit(plan, tmp_path / "run", progress=(heard := Listener()))
    assert any("more steps. [quality] images = 0" in one for one in heard.begun)
    assert heard.probes and heard.traces and set(heard.traces) < set(heard.begun)
