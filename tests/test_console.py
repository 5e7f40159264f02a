"""What a file, a model or a service says is shown in a terminal and never obeyed by it."""

import io
import json
import logging
import os
import sys
import threading
import warnings
from pathlib import Path

import pytest
from PIL import Image
from rich.table import Table
from rich.text import Text

from palpate import cli
from palpate.audit.run.display import Bar, Lines, displayed
from palpate.console import console, echo, guarded, unread
from palpate.errors import printable
from tests.audit.tiny import write
from tests.report.world import make_run

EVIL = "a\x1b[2J\x1b]0;owned\x07b\rc\x9bm\u202egnp\u2028d\u200be"
NASTY = set("\x1b\x07\r\x9b\u202e\u2028\u200b\x08\x00")


def test_controls_are_shown_as_escapes() -> None:
    assert printable("a\x1b[31m\x9b\u202e\udc80\n\tb") == r"a\x1b[31m\x9b\u202e\udc80\n\tb"
    assert printable("Größe 3 µm, 日本語 é") == "Größe 3 µm, 日本語 é"
    assert printable(Path("x/y")) == "x/y"


def test_a_line_break_stays_only_before_an_indented_line() -> None:
    text = "plan.toml has 2 problems:\n  line 3: a\npalpate: all gates passed\n  line 4: b"
    assert printable(text, lines=True).split("\n") == [
        "plan.toml has 2 problems:",
        r"  line 3: a\npalpate: all gates passed",
        "  line 4: b",
    ]
    assert "\n" not in printable(text)


def test_every_sink_cleans_what_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    echo(EVIL)
    echo(EVIL, err=True, lines=True)
    shown = console()
    shown.print(EVIL, markup=False)
    shown.print(Text(EVIL, style="bold"))
    table = Table(EVIL, title=EVIL)
    table.add_row(EVIL)
    shown.print(table)
    Lines(console(stderr=True)).message(f"{EVIL}\npalpate: passed")
    with guarded():
        warnings.warn(EVIL, UserWarning, stacklevel=1)
        logging.getLogger("some.library").warning("file %s", EVIL)
    said = capsys.readouterr()
    assert not NASTY & set(said.out + said.err)
    assert said.out.count(r"\x1b[2J") + said.out.count("x1b") >= 5
    assert "\npalpate: passed" not in said.err and said.err.count("x1b") >= 4


def test_a_bar_in_a_terminal_obeys_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = console()
    screen.file, screen._force_terminal = io.StringIO(), True
    with displayed(screen) as progress:
        assert isinstance(progress, Bar)
        progress.start(2)
        progress.message(f"first {EVIL}")
        progress.advance(EVIL, 1.0, 2)
    drawn = screen.file.getvalue()
    assert "\x1b]0;" not in drawn and "\x1b[2J" not in drawn and "\u202e" not in drawn
    assert r"first a\x1b[2J" in drawn


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert ended.value.code == cli.BAD_INPUT
    assert not NASTY & set(said.out + said.err)
    assert len(said.err.splitlines()) == 1
    return said.err


def test_names_of_files_are_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "x\x1b]0;owned\x07\npalpate: fine.png"
    (tmp_path / name).write_text("hello")
    assert r"x\x1b]0;owned\x07\npalpate: fine.png" in refused(capsys, "describe", tmp_path / name)
    assert r"\x1b]0;" in refused(capsys, "audit", tmp_path / f"{name}.toml")
    assert r"\x1b]0;" in refused(capsys, "show", tmp_path / name)


def test_keys_and_texts_of_files_are_not_obeyed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "plan")
    plan = tmp_path / "plan" / "plan.toml"
    plan.write_text(plan.read_text().replace('title = "Tiny"', r'"ti\u001b[2Jtle\npalpate: fine" = "Tiny"'))
    assert r"\x1b[2J" in refused(capsys, "audit", plan)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"schema": 3, "task": {EVIL: 1}}))
    refused(capsys, "show", tmp_path / "run")


def test_the_title_of_a_run_makes_no_line_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", title=f"Title {EVIL}\nValidity A forged")
    with pytest.raises(SystemExit):
        cli.main(["show", str(run.path)])
    said = capsys.readouterr()
    assert not NASTY & set(said.out + said.err)
    assert "Title" in said.out and "\nValidity A forged" not in said.out


def test_facts_of_an_image_are_shown_and_not_obeyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from palpate.data.formats import registry as formats

    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    real = formats.header_of
    monkeypatch.setattr(formats, "header_of", lambda path: replace(real(path), scanner=EVIL))
    with pytest.raises(SystemExit):
        cli.main(["describe", str(tmp_path / "a.png")])
    said = capsys.readouterr()
    assert not NASTY & set(said.out) and r"\x1b[2J" in said.out


def test_what_fails_beside_the_audit_is_said_once_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("thread \x1b[2J")

    class Ends:
        def __del__(self) -> None:
            raise OSError("object \x1b[2J")

    before = threading.excepthook, sys.unraisablehook
    with guarded():
        for thread in [threading.Thread(target=fail) for _ in range(3)]:
            thread.start()
            thread.join()
        one = Ends()
        del one
    said = capsys.readouterr().err
    assert said.count("\\x1b[2J") == 2 and "\x1b" not in said and "Traceback" not in said
    assert (threading.excepthook, sys.unraisablehook) == before


def test_a_command_goes_on_when_nobody_reads_its_output(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write_end = os.pipe()
    with os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        os.close(read)
        with unread():
            for _ in range(3):
                echo("x" * 100_000)
            console().print("y")
        assert sys.stdout is stream
