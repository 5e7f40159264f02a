"""Stored traces that are not what they must be: one sentence from every reader, never a traceback."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from palpate.audit.run.runner import audit
from palpate.errors import StorageError
from palpate.report.page.html import write_report
from palpate.storage.runs import RunFolder
from tests.audit import tiny

PLAN = tiny.PLAN.replace("[run]", "[stability]\nimages = 2\nstarts = 2\n\n[run]")


def saved(save: Any, *arrays: Any, **named: Any) -> bytes:
    sink = io.BytesIO()
    save(sink, *arrays, **named)
    return sink.getvalue()


WRONG = {
    "nothing": b"",
    "text": b"junk that is no archive",
    "a bare array": saved(np.save, np.zeros(3)),
    "other arrays": saved(np.savez, other=np.zeros(3)),
    "objects": saved(np.savez, rows=np.array([{}], dtype=object)),
    "too many answers": saved(np.savez, draws=np.zeros(3, bool)),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    audit(tiny.write(folder / "plan", PLAN), folder / "run")
    return folder


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in WRONG.items()])
def test_wrong_maps_are_one_sentence_and_the_fix_works(tmp_path: Path, whole: Path, content: bytes) -> None:
    run = RunFolder(shutil.copytree(whole / "run", tmp_path / "run"))
    path = run.trace(json.loads((run.path / "run.json").read_text())["stability"]["items"][0]["identity"])
    path.with_suffix(".npz").write_bytes(content)
    plan = tiny.write(whole / "plan", PLAN)
    write_report(run)
    states = [one["state"] for one in json.loads(run.results.read_text())["stability"]["attacks"]]
    assert states.count("damaged") == 1, "the report leaves out that attack's trace alone"
    with pytest.raises(StorageError, match=r"\.npz (is damaged|does not hold).*Delete .*parquet and run") as error:
        audit(plan, run.path)
    assert "allow_pickle=`" not in str(error.value), "advice that nobody should follow"
    path.unlink()
    audit(plan, run.path)
    assert tiny.traces(run.path) == tiny.traces(whole / "run")
