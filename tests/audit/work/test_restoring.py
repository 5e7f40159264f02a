"""Pictures and exports of a finished run that are gone or damaged are noticed, said, and made again."""

import json
import os
import shutil
from pathlib import Path

import pytest

from palpate import cli
from palpate.audit.plan.plan import Plan
from palpate.audit.run.runner import audit
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder
from tests.audit import tiny

TEXT = (
    tiny.PLAN.replace("steps = 3", "steps = 1").replace('[[attacks]]\nattack = "noise"\ntries = 2\n', "")
    + '[export]\nimages = "all"\n[stability]\nimages = 0\n'
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return tiny.write(tmp_path_factory.mktemp("restoring") / "plan", TEXT)


@pytest.fixture(scope="module")
def finished(plan: Plan) -> Path:
    audit(plan, plan.root / "run")
    return plan.root / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def _files(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for folder in ("images", "exports", "records")
        for path in (run / folder).iterdir()
    }


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("harm", [Path.unlink, _flip, _cut, _linked, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("pattern", ["images/*-clean*", "images/*-adversarial*", "images/*-change*", "exports/*"])
def test_one_lost_file_is_made_again_by_one_shard(plan: Plan, finished: Path, run: Path, harm, pattern: str) -> None:
    harm(sorted(run.glob(pattern))[0])
    heard = tiny.Heard()
    assert audit(plan, run, progress=heard).status == "finished"
    assert len(heard.shards) == 1 and any("missing or damaged" in text for text in heard.messages)
    files = _files(run)
    if harm is _linked:
        files.pop("images/elsewhere", None), files.pop("exports/elsewhere", None)
    assert files == _files(finished)
    again = tiny.Heard()
    audit(plan, run, progress=again)
    assert again.shards == [] and not any("missing" in text for text in again.messages)


@pytest.mark.parametrize("folder", ["images", "exports"])
def test_a_whole_folder_comes_back(plan: Plan, finished: Path, run: Path, folder: str) -> None:
    shutil.rmtree(run / folder)
    audit(plan, run)
    assert _files(run) == _files(finished)


def test_a_kill_while_files_are_made_again_forgets_none(plan: Plan, finished: Path, run: Path) -> None:
    shutil.rmtree(run / "images")
    audit(plan, run, progress=tiny.Heard(stop_after=1))
    assert _files(run) != _files(finished)
    audit(plan, run)
    assert _files(run) == _files(finished)


def test_exports_that_the_plan_no_longer_asks_for_are_not_missed(plan: Plan, run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "exports")
    heard = tiny.Heard()
    other = tiny.write(tmp_path / "plan", TEXT.replace('"all"', '"none"'))
    audit(other, run, update=True, progress=heard)
    assert heard.shards == []


def test_show_and_report_say_what_is_lost_and_go_on(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    whole = write_report(RunFolder(run)).read_text()
    assert "missing or damaged" not in whole
    _flip(sorted(run.glob("images/*-change*"))[0])
    page = write_report(RunFolder(run)).read_text()
    assert page.count("picture not in the run folder, or damaged") == 1
    assert "Run `palpate audit` with the same plan again: it writes it again" in page
    for path in (run / "images").iterdir():
        path.write_bytes(b"no picture")
    shutil.rmtree(run / "exports")
    for command in ("show", "report"):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, str(run)])
        assert ended.value.code == 0
        if command == "show":
            assert "pictures or exported images of this run" in capsys.readouterr().out


def test_a_changed_run_json_is_said_and_written_anew(plan: Plan, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "run.json"
    path.write_text(path.read_text().replace('"images": 12', '"images": 13'))
    with pytest.raises(SystemExit):
        cli.main(["show", str(run)])
    assert "run.json does not hold what palpate wrote" in " ".join(capsys.readouterr().out.split())
    heard = tiny.Heard()
    audit(plan, run, progress=heard)
    assert heard.shards == [] and json.loads(path.read_text())["data"]["images"] == 12
    with pytest.raises(SystemExit):
        cli.main(["show", str(run)])
    assert "does not hold what palpate wrote" not in " ".join(capsys.readouterr().out.split())


def test_a_run_of_an_earlier_palpate_has_no_digests_and_is_shown(
    plan: Plan, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    contents = json.loads((run / "run.json").read_text())
    del contents["files"], contents["digest"]
    (run / "run.json").write_text(json.dumps(contents))
    with pytest.raises(SystemExit) as ended:
        cli.main(["show", str(run)])
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0 and "missing or damaged" not in said and "does not say" not in said
    os.unlink(sorted(run.glob("images/*-change*"))[0])
    assert audit(plan, run).status == "finished"
