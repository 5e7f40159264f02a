"""Whose folder it is: palpate writes into its own run folders and leaves all others as they are."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from palpate.audit.plan.plan import Plan
from palpate.audit.run.before import read_before
from palpate.audit.run.opening import open_run
from palpate.audit.run.runner import audit
from palpate.errors import StorageError
from palpate.report.compute.results import measure
from palpate.report.model.description import read_description
from palpate.storage import writing
from palpate.storage.runs import RunFolder
from tests.audit import tiny

HEX = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return tiny.write(tmp_path_factory.mktemp("opening") / "plan")


def _tree(folder: Path) -> dict[str, bytes | str | None]:
    """Everything in a folder, with its contents or where it leads."""
    return {
        str(path.relative_to(folder)): os.readlink(path)
        if path.is_symlink()
        else path.read_bytes()
        if path.is_file()
        else None
        for path in sorted(folder.rglob("*"))
    }


def _foreign(folder: Path, run_json: str | None) -> Path:
    """A folder of another tool, with names that look like temporary files."""
    for name in (".cache/.a.tmp/x", "records/.draft.tmp", ".b.partial", "deep/.c.1.tmp", ".plan.toml.7.tmp", ".lock"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    if run_json is not None:
        (folder / "run.json").write_text(run_json)
    return folder


@pytest.mark.parametrize(
    "run_json",
    [
        None,
        "{}",
        "[]",
        "",
        '{"schema": "https://example.org"}',
        '{"schema": true}',
        '{"schema": 3}',
        "\xff",
        '"palpate"',
    ],
)
def test_a_folder_of_another_tool_is_left_as_it_is(plan: Plan, tmp_path: Path, run_json: str | None) -> None:
    home = _foreign(tmp_path / "home", run_json)
    before = _tree(home)
    for update in (False, True):
        with pytest.raises(StorageError):
            audit(plan, home, update=update)
        with pytest.raises(StorageError):
            open_run(home, plan, update=update)
    assert _tree(home) == before


@pytest.mark.parametrize("names", [[], [".lock"], ["plan.toml"], [".lock", "plan.toml", ".run.json.12.tmp"]])
def test_what_a_kill_at_the_very_start_leaves_is_gone_on_with(plan: Plan, tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text(plan.text if name == "plan.toml" else "12" if name == ".lock" else "half")
    run, before = open_run(tmp_path, plan, update=False)
    assert before is None and not list(tmp_path.glob("*.tmp"))
    assert audit(plan, run.path, progress=tiny.Heard(stop_after=1)).done == 1


def test_another_plan_without_a_run_is_not_written_over(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text("# mine")
    for update in (False, True):
        with pytest.raises(StorageError, match=r"plan\.toml is another plan than this one"):
            audit(plan, tmp_path, update=update)
    assert _tree(tmp_path) == {"plan.toml": b"# mine"}


def test_a_link_to_a_run_folder_is_one_and_links_inside_are_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    assert audit(plan, tmp_path / "run", progress=tiny.Heard(stop_after=1)).done == 1
    pictures = tmp_path / "pictures"
    (tmp_path / "run" / "images").rename(pictures)
    (pictures / f".{HEX[:16]}-clean.png.7.tmp").write_text("mine")
    (tmp_path / "run" / "images").symlink_to(pictures)
    with pytest.raises(StorageError, match="images is a link"):
        audit(plan, tmp_path / "run")
    RunFolder(tmp_path / "run").sweep()
    assert (pictures / f".{HEX[:16]}-clean.png.7.tmp").exists()


def test_only_temporary_names_of_palpate_are_swept_from_a_run(plan: Plan, tmp_path: Path) -> None:
    audit(plan, tmp_path, progress=tiny.Heard(stop_after=1))
    own = [
        *(
            ".plan.toml.1.tmp",
            ".run.json.22.tmp",
            ".run.json.node7-22-0123abcd.tmp",
            ".report.html.3.tmp",
            ".results.json.3.tmp",
            ".saving-ab1_c2d3.tmp/0.dcm",
        ),
        *(f"records/.{HEX}.parquet.7.tmp", f"stability/.{HEX}.npz.7.tmp", f"stability/.{HEX}.parquet.7.tmp"),
        *(f"images/.{HEX[:16]}-0-adversarial.png.7.tmp", f"exports/.{HEX[:16]}-1-0.nii.gz.7.tmp"),
        *(f"exports/.{HEX[:16]}-1-0.77.new.partial/0001.dcm", f"exports/{HEX[:16]}-1-0/.0000.nii.gz.7.tmp"),
    ]
    mine = [
        *(".draft.tmp", ".draft.7.tmp", "records/.draft.tmp", "notes/.run.json.7.tmp", "images/.mine.tmp", "x.partial"),
        *(".cache.partial", "exports/.mine.partial", "deep/er/.a.7.tmp", f"exports/{HEX[:16]}-1-0/0000.nii.gz"),
    ]
    for name in (*own, *mine):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    open_run(tmp_path, plan, update=False)
    assert [name for name in own if (tmp_path / name).exists()] == []
    assert [name for name in mine if not (tmp_path / name).exists()] == []


def test_a_temporary_name_that_is_a_link_is_not_written_through(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    audit(plan, run, progress=tiny.Heard(stop_after=1))
    (tmp_path / "letter.txt").write_text("mine")
    monkeypatch.setattr(writing, "mark", lambda: "7")
    (run / ".run.json.7.tmp").symlink_to(tmp_path / "letter.txt")
    RunFolder(run).save_description({"title": "new"})
    assert (tmp_path / "letter.txt").read_text() == "mine"
    assert json.loads((run / "run.json").read_text())["title"] == "new"
    assert not (run / "run.json").is_symlink()


@pytest.mark.parametrize("stored", [b"\xff\xfe", b"a = " + b"[" * 5000, b"n = " + b"9" * 5000, b"", b"[" * 40])
def test_a_stored_plan_that_cannot_be_read_is_a_change_and_no_traceback(
    plan: Plan, tmp_path: Path, stored: bytes
) -> None:
    audit(plan, tmp_path, progress=tiny.Heard(stop_after=1))
    (tmp_path / "plan.toml").write_bytes(stored)
    with pytest.raises(StorageError, match=r"this version of palpate cannot read the stored plan\.toml"):
        audit(plan, tmp_path)


WRONG = [None, 5, -1, 1.5, float("nan"), 10**30, "x", "", [], ["x"], [[1]], {}, {"a": 1}, True, "../../etc/passwd"]


@pytest.mark.parametrize(
    "field",
    [
        *("palpate", "created", "finished", "shards", "shard_seconds", "model", "data", "findings", "tuning"),
        *("versions", "machine", "export", "exports", "gallery", "files", "stability", "attacks", "task", "threat"),
        *("gates", "title", "status", "handlings", "seed"),
    ],
)
def test_a_wrong_type_in_run_json_is_one_sentence_everywhere(plan: Plan, field: str) -> None:
    whole = _finished(plan)
    good = json.loads(whole)
    run = RunFolder(plan.root / "shown")
    for number, value in enumerate(WRONG):
        (run.path / "run.json").write_text(json.dumps({**good, field: value}))
        # Figures take long, so every fourth value goes that far.
        shown = (lambda: measure(run)) if number % 4 == 0 else (lambda: read_description(run))
        for read in (shown, lambda: read_before(run)):
            # Anything else than a StorageError is a traceback for the user.
            with suppress(StorageError):
                read()
    (run.path / "run.json").write_text(whole)


def _finished(plan: Plan) -> str:
    """The `run.json` of a run that is finished once for all of these tests."""
    if not (plan.root / "shown" / "run.json").is_file():
        audit(plan, plan.root / "shown", progress=tiny.Heard())
    return (plan.root / "shown" / "run.json").read_text()
