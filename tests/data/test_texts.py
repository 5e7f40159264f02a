"""Hostile and odd texts: tables, JSON and plans end in one sentence, at once; what is only unusual is read."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from palpate.audit.plan.plan import load_plan
from palpate.data.json_file import read_json
from palpate.data.sheets import read_csv
from palpate.errors import InputError, PlanError
from tests.audit import tiny


@contextmanager
def at_once(seconds: float = 5.0) -> Iterator[None]:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def written(folder: Path, content: str | bytes, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


WIDE = ",".join(f"c{number}" for number in range(200_000))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{WIDE}\n{WIDE}\n", "200,000 columns, and palpate reads up to"),
        ("," * 200_000 + "\n" + "," * 200_000 + "x\n", "200,001 columns"),
        ("a" * 200_000 + "\nb\n", "line 1: field larger than field limit"),
        ('file,label\na.png,0\n"b.png,0\n' + "c.png,1\n" * 50_000, "line 3: .*A quote that opens in line 3 may not"),
        ('file,label\na.png,0\n"b.png,0\nc.png,1\n', "line 3: .*A quote that opens in line 3 may not"),
        ("file,label\na\0.png,0\n", "line 2: there is a zero byte"),
        ("file,label\na.png,0\n".encode("utf-16"), "is UTF-16 text"),
        ("file,label\na.png,0\n".encode("utf-16-le"), "line 1: there is a zero byte"),
        ("file,label\na.png,sch\u00f6n\n".encode("latin-1"), r"byte 20, in line 2\)\. Save it as CSV in UTF-8"),
    ],
    ids=range(9),
)
def test_a_table_is_refused_in_one_sentence(tmp_path: Path, content: str | bytes, said: str) -> None:
    with at_once(), pytest.raises(InputError, match=said) as refused:
        read_csv(written(tmp_path, content))
    assert "labels.csv" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "content",
    [
        "\ufefffile,label\r\na.png,0\r\nb.png,1\r\n",
        "file;label\na.png;0\nb.png;1\n",
        "file\tlabel\na.png\t0\nb.png\t1\n",
        "file,label\ra.png,0\rb.png,1\r",
        "file,label\na.png,0\r\nb.png,1\n\n\r\n , \n",
        "file,label,,\na.png,0,,\nb.png,1\n".replace("b.png,1", "b.png,1,,"),
        ",file,label\n0,a.png,0\n1,b.png,1\n",
        "file,label\na.png,0,,,\nb.png,1\n",
        "sep=;\r\nfile;label\r\na.png;0\r\nb.png;1\r\n",
    ],
    ids=["mark", "semicolon", "tab", "old Mac", "mixed", "excel", "pandas", "beyond", "sep"],
)  # fmt: skip
def test_a_table_as_programs_write_it_is_read(tmp_path: Path, content: str) -> None:
    sheet = read_csv(written(tmp_path, content))
    assert sheet.header == ["file", "label"]
    assert [line.cells for line in sheet.lines] == [{"file": "a.png", "label": "0"}, {"file": "b.png", "label": "1"}]


def test_the_line_of_a_table_is_told_as_an_editor_counts(tmp_path: Path) -> None:
    sheet = read_csv(written(tmp_path, "sep=;\nfile;label\n\na.png;0\n"))
    assert sheet.lines[0].place == "line 4"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[" * 2_000_000, "nested too deeply"),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, "nested too deeply"),
        ("[" * 200 + "]" * 200, "nested too deeply"),
        ('{"a": ' + "9" * 5_000 + "}", "is not JSON"),
        ('{"a": 1e999}', "holds 1e999, which is too large"),
        ('{"a": NaN}', "it holds NaN"),
        ('{"a": "\\ud800.png"}', "half a letter"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' appears twice"),
        ("{" + ",".join(f'"k{n}": 0' for n in range(50_000)) + ',"k7": 1}', "the key 'k7' appears twice"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b'{"a": "\0"}', "is not JSON"),
    ],
    ids=range(11),
)
def test_a_json_is_refused_in_one_sentence(tmp_path: Path, content: str | bytes, said: str) -> None:
    with at_once(), pytest.raises(InputError, match=said) as refused:
        read_json(written(tmp_path, content, "list.json"))
    assert "list.json" in str(refused.value) and "\n" not in str(refused.value)


def test_a_json_of_other_unicode_is_read(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        assert read_json(written(tmp_path, '{"a": "\u00f6"}'.encode(encoding), "a.json")) == {"a": "\u00f6"}
    assert read_json(written(tmp_path, '{"a": "\\ud83d\\ude00"}', "a.json")) == {"a": "\U0001f600"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a = " + "[" * 200_000, "nested too deeply"),
        ("a = " + "{b = " * 5_000 + "1" + "}" * 5_000, "nested too deeply"),
        ("a." * 200_000 + "a = 1", "nested too deeply"),
        ('"a" . ' * 5_000 + "a = 1", "nested too deeply"),
        ("[" + "a." * 5_000 + "a]", "nested too deeply"),
        ("seed = " + "9" * 5_000, "is not TOML"),
        ("a" * 500_000, "line 1: this is not TOML"),
        ("seed = 0\nseed = 1", "line 2: this is not TOML"),
        ("seed = nan", "seed"),
        ("title = 'a\0b'", "a zero byte"),
        ("title = 'a'".encode("utf-16"), "is UTF-16"),
    ],
    ids=range(11),
)
def test_a_plan_is_refused_in_one_sentence(tmp_path: Path, content: str | bytes, said: str) -> None:
    with at_once(), pytest.raises(PlanError, match=said) as refused:
        load_plan(written(tmp_path, content, "plan.toml"))
    assert "plan.toml" in str(refused.value)


def test_a_plan_with_a_mark_and_dots_in_texts_is_read(tmp_path: Path) -> None:
    text = tiny.PLAN.replace('title = "Tiny"', f'title = "{"." * 500} {"[" * 50}"')
    plan = load_plan(written(tmp_path, f"\ufeff{text}", "plan.toml"))
    assert plan.title.startswith("....")


@pytest.mark.parametrize("read", [read_csv, read_json, load_plan])
def test_a_pipe_is_no_text(tmp_path: Path, read) -> None:
    os.mkfifo(tmp_path / "pipe")
    with at_once(), pytest.raises(InputError, match="is not a file"):
        read(tmp_path / "pipe")
