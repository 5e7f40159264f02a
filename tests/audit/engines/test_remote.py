"""Audits of images behind a URL: the records are those of files, whoever reads them, and no copy stays behind."""

import gc
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from palpate.audit.engines.images import contents
from palpate.audit.engines.worker import load_bench, setup_of
from palpate.audit.run.runner import audit
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import load_subject
from tests.audit import tiny
from tests.audit.engines.test_bench import _job
from tests.audit.engines.test_pool import TEXT, files


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A URL of the images of the tiny audit, which are not in the folder of the plan."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    tiny.write(tmp_path / "plan", TEXT)
    system = fsspec.filesystem("memory")
    system.put([str(path) for path in (tmp_path / "plan").glob("*.png")], "/tiny/")
    for path in (tmp_path / "plan").glob("*.png"):
        path.unlink()
    yield "memory://tiny"
    system.rm("/tiny", recursive=True)


def _behind(url: str, text: str = TEXT) -> str:
    return text.replace("[data]", f'[data]\nimages = "{url}"')


def test_records_pictures_and_exports_are_those_of_files(tmp_path: Path, bucket: str) -> None:
    audit(tiny.write(tmp_path / "files", TEXT), tmp_path / "whole")
    assert audit(tiny.rewrite(tmp_path / "plan", _behind(bucket)), tmp_path / "run").status == "finished"
    assert files(tmp_path / "run") == files(tmp_path / "whole")
    gc.collect()
    assert not list((tmp_path / "temporary").glob("palpate-*")), "nothing of a patient stays behind"


def test_a_worker_makes_its_own_copies_or_is_sent_the_files(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny.rewrite(tmp_path / "plan", _behind(bucket))
    subject = load_subject(plan)
    setup = setup_of(plan, subject, Room(3), allow_pickle=False, device="cpu", scratch=None)
    bench = load_bench(setup, tmp_path / "own")
    job = _job(bench)
    with bench.survival.subject.victim:
        whole = bench.carry_out_apart(job, tmp_path)
        assert whole.records and not whole.failed
        assert len(list((tmp_path / "own" / "copies").iterdir())) == len(job.rows), "only those of its job"
        sent = contents(setup.subject.table, job.rows)
    # The URL means nothing on this machine.
    (tmp_path / "other").mkdir()
    bench = load_bench(setup, tmp_path / "other")
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", lambda *given, **named: 1 / 0)
    with bench.survival.subject.victim:
        assert bench.carry_out_apart(job, tmp_path).unseen == "image0.png"
        given = bench.carry_out_apart(replace(job, files=sent), tmp_path)
    assert (given.records, given.files) == (whole.records, whole.files)
