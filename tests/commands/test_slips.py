"""Small slips on the command line get a sentence that fits them."""

import shutil
from pathlib import Path
from typing import Any, cast

import pytest

from palpate import cli
from palpate.audit.estimate import pilot
from palpate.audit.run.lock import locked
from palpate.errors import InputError, StorageError
from palpate.report.compute.compare.likeness import sides, unlike
from palpate.report.page.comparing import Compared
from palpate.report.page.terminal import _head
from palpate.storage.runs import RunFolder
from tests.audit import tiny
from tests.report.known import measure
from tests.report.world import PLAIN, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("slips") / "run"
    return make_run(folder, images=10, attacks=("fgsm",), pictures=0, task=PLAIN)


def test_a_comparison_is_not_written_onto_a_file(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        Compared(cast(Any, None), ()).write(tmp_path / "page.html")


def test_a_folder_that_cannot_be_made_is_not_called_a_run_folder() -> None:
    with pytest.raises(StorageError) as caught, locked(Path("/proc/palpate")):
        pass
    assert "run folder" not in str(caught.value) and "Choose another folder" in str(caught.value)


def test_an_interrupted_estimate_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pilot, "_measured", stopped)
    plan = tiny.write(tmp_path / "study").origin
    with pytest.raises(SystemExit) as ended:
        cli.main(["estimate", str(plan), "--images", "50"])
    said = capsys.readouterr().err
    assert ended.value.code == 130 and "Stopped: nothing was measured" in said
    assert "takes all of them and not 50" in said


def test_two_runs_with_equal_records_are_one_audit(run: RunFolder, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "copy")
    (found,) = [one.text for one in unlike(*sides([run, tmp_path / "copy"])) if one.subject == "model"]
    assert found.startswith("A and B have the same records")


def test_a_run_without_probes_is_not_called_unfinished_with_all_of_its_attacks(run: RunFolder) -> None:
    said: list[str] = []

    class Heard:
        def print(self, text: object = "", *_: object, **__: object) -> None:
            said.append(str(text))

    _head(measure(run).model_copy(update={"status": "unfinished"}), cast(Any, Heard()))
    assert any("all attacks are complete, but not what follows them" in text for text in said)
