"""A job is pure: with the same setup it gives the same bytes, wherever the images are, and is refused elsewhere."""

import os
import socket
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from palpate.audit.engines import worker as engine_worker
from palpate.audit.engines.bench import Bench
from palpate.audit.engines.contracts import Gone, Job, Ready, Refused, Setup
from palpate.audit.engines.images import contents, unhashed, unpack, unseen
from palpate.audit.engines.looking import Seen, looks
from palpate.audit.engines.queue import MOST_LOSSES, Queue
from palpate.audit.engines.worker import Worker, load_bench, setup_of
from palpate.audit.subject.baseline import attackable
from palpate.audit.subject.room import Room
from palpate.audit.subject.subject import load_subject
from palpate.audit.work import shards
from palpate.audit.work.artefacts import artefact_shards, run_artefact_shard
from palpate.audit.work.shards import shards_of
from palpate.data.cases import Case
from palpate.data.source import Folder
from palpate.errors import InputError, StorageError
from palpate.storage.runs import RunFolder, artefact_bytes
from tests.audit import tiny

PLAN = tiny.PLAN + '\n[export]\nimages = "all"\n'


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    plan = tiny.write(tmp_path / "plan", PLAN)
    subject = load_subject(plan)
    return setup_of(plan, subject, Room(plan.run.batch), allow_pickle=False, device="cpu", scratch=tmp_path)


def _job(bench: Bench, place: int = 0) -> Job:
    shard = shards_of(bench.plan, bench.survival, list(bench.items.values()))[place]
    return Job(shard.identity, shard.item.identity, shard.rows, shard.describe(), frozenset({0, 1}))


def test_a_worker_that_does_not_see_the_images_is_given_their_files(setup: Setup, tmp_path: Path) -> None:
    bench = load_bench(setup, tmp_path)
    job = _job(bench)
    with bench.survival.subject.victim:
        whole = bench.carry_out_apart(job, tmp_path)
        assert whole.records and not whole.failed and not whole.notes
        names = sorted(name.partition("/")[0] for name in whole.files)
        assert names == ["exports"] * len([n for n in names if n == "exports"]) + ["images"] * 6
        sent = contents(setup.subject.table, job.rows)
        (tmp_path / "plan" / "image1.png").unlink()
        assert bench.carry_out_apart(job, tmp_path).unseen.endswith("image1.png")
        # Another image of that name on the worker's machine is not the one that was asked for.
        (tmp_path / "plan" / "image1.png").write_bytes((tmp_path / "plan" / "image2.png").read_bytes())
        assert (
            replace(bench, own=unhashed(bench.survival.subject.table)).carry_out_apart(job, tmp_path).unseen
            == "image1.png"
        )
        given = bench.carry_out_apart(replace(job, files=sent), tmp_path)
    assert (given.records, given.files) == (whole.records, whole.files)
    assert not list(tmp_path.glob("job-*")), "nothing of a patient stays behind"


def test_a_worker_hashes_each_image_once(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    table, read = setup.subject.table, Counter[str]()
    own, content = unhashed(table), Folder.content

    def counted(folder: Folder, case: Case) -> bytes:
        read[case.name] += 1
        return content(folder, case)

    monkeypatch.setattr(Folder, "content", counted)
    assert not unseen(table, [0, 1], own) and not unseen(table, [1, 2], own)
    assert read == Counter(table[row].name for row in range(3))


def test_a_worker_without_memory_halves_the_batch_and_gives_the_same_records(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, bench = load_bench(replace(setup, batch=1), tmp_path), load_bench(setup, tmp_path)
    job, real = _job(bench), shards.curve
    with alone.survival.subject.victim:
        one_by_one = alone.carry_out_apart(job, tmp_path)
    with bench.survival.subject.victim:

        def full(attack: object, victim: object, task: object, images: torch.Tensor, *rest: object, **named: object):  # type: ignore[no-untyped-def]
            if len(images) > 1:
                raise torch.OutOfMemoryError("out of memory")
            return real(attack, victim, task, images, *rest, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(shards, "curve", full)
        small = bench.carry_out_apart(job, tmp_path)
    assert (bench.room.wanted, small.batch) == (3, 1)
    assert small.records == one_by_one.records


def test_a_worker_without_memory_for_the_model_is_gone_and_not_a_fault(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object, **named: object) -> Bench:
        raise MemoryError

    monkeypatch.setattr(engine_worker, "load_bench", full)
    assert Worker(setup).start() == Gone("not enough memory")


def test_a_worker_whose_disk_takes_nothing_names_its_machine(setup: Setup, tmp_path: Path) -> None:
    worker = Worker(replace(setup, scratch=tmp_path / "missing"))
    refused = worker.start()
    assert isinstance(refused, Refused) and refused.kind == "storage"
    with pytest.raises(StorageError, match=r"The worker on \S+ \(process \d+\) cannot go on: \S+missing cannot be"):
        raise refused.error()
    bench = load_bench(setup, tmp_path)
    with bench.survival.subject.victim, pytest.raises(StorageError, match="missing cannot be written"):
        bench.carry_out_apart(_job(bench), tmp_path / "missing")
    (tmp_path / "given").write_text("a file where a folder should be")
    with pytest.raises(StorageError, match=r"one\.png cannot be written"):
        unpack({"/images/one.png": b""}, tmp_path / "given")


def test_an_image_that_is_gone_in_mid_run_is_named(setup: Setup, tmp_path: Path) -> None:
    (tmp_path / "plan" / "image1.png").unlink()
    with pytest.raises(InputError, match=r"image1\.png cannot be read: .* Put it back and run the same command again"):
        contents(setup.subject.table, [0, 1])


def test_copies_of_files_above_the_plan_stay_in_their_folder(setup: Setup, tmp_path: Path) -> None:
    unpack({"/plan/../../../image.png": b"pixels"}, tmp_path / "a" / "given")
    assert [path.relative_to(tmp_path / "a" / "given").as_posix() for path in (tmp_path / "a").rglob("*.png")] == [
        "plan/up/up/up/image.png"
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("versions", r"other versions than this machine: torch .* instead of 1\.0\. .*Install the same versions"),
        ("weights", "other weights of the model than this machine.*Copy the folder"),
        ("code", "other code or files of the model"),
        ("gone", "cannot load the model: .*weights.safetensors"),
        ("device", "computes on cpu and should on cuda"),
    ],
)
def test_a_worker_with_something_else_is_refused_and_named(
    setup: Setup, tmp_path: Path, change: str, said: str
) -> None:
    if change == "versions":
        setup = replace(setup, versions={**setup.versions, "torch": "1.0"})
    elif change == "weights":
        tiny.retrain(tmp_path / "plan")
        setup = replace(setup, subject=replace(setup.subject, model=_files(setup)))
    elif change == "code":
        (tmp_path / "plan" / "model.py").write_text(tiny.MODEL + "\n")
    elif change == "gone":
        (tmp_path / "plan" / "weights.safetensors").unlink()
    else:
        setup = replace(setup, device="cuda")
    refused = Worker(setup).start()
    assert isinstance(refused, Refused) and refused.kind == "input"
    with pytest.raises(InputError, match=rf"The worker on \S+ \(process \d+\) .*{said}"):
        raise refused.error()


def _files(setup: Setup) -> str:
    """The digest of the model's files as they are now."""
    from palpate.audit.plan.plan import parse_plan

    plan = parse_plan(setup.text, setup.origin)
    return plan.model.source().digest(plan.root)


def test_a_job_of_other_records_is_refused(setup: Setup, tmp_path: Path) -> None:
    bench = load_bench(setup, tmp_path)
    with pytest.raises(InputError, match="so its records would differ"):
        bench.carry_out_apart(replace(_job(bench), shard="0" * 64), tmp_path)


def test_an_artefact_is_a_job_too(tmp_path: Path) -> None:
    plan = tiny.write(tmp_path / "plan", PLAN + '\n[[artefacts]]\nartefact = "brightness"\ntries = 2\nevolution = 4\n')
    subject = load_subject(plan)
    setup = setup_of(plan, subject, Room(2), allow_pickle=False, device="cpu", scratch=tmp_path)
    bench = load_bench(setup, tmp_path)
    (shard, *_) = artefact_shards(bench.plan, bench.survival.subject, list(bench.artefacts.values()))
    job = Job(shard.identity, shard.item.identity, shard.rows, shard.describe(), part="artefact")
    with bench.survival.subject.victim:
        outcome = bench.carry_out_apart(job, tmp_path)
        found = run_artefact_shard(bench.plan, bench.survival.subject, shard, bench.room)
        assert outcome.records == artefact_bytes(row for batch in found for row in batch)
        with pytest.raises(InputError, match="so its records would differ"):
            bench.carry_out_apart(replace(job, shard="0" * 64), tmp_path)


def test_a_job_that_ends_every_worker_is_given_up_and_the_others_go_on(setup: Setup) -> None:
    one, two = (Job(name, "item", (0,), f"pgd, image {name}") for name in "12")
    queue = Queue(iter([one, two]), setup.subject.table)
    assert queue.waits(2) and not queue.waits(3)
    for _ in range(MOST_LOSSES - 1):
        assert queue.next() is one
        assert queue.lost(one, "killed by SIGKILL") is None
    assert queue.next() is one
    outcome = queue.lost(one, "killed by SIGKILL")
    assert outcome is not None and "3 workers in turn ended" in outcome.failed and "SIGKILL" in outcome.failed
    assert queue.next() is two and queue.next() is None


def test_workers_that_never_start_are_not_tried_for_ever(setup: Setup) -> None:
    queue = Queue(iter(()), setup.subject.table)
    for _ in range(MOST_LOSSES - 1):
        queue.not_started("exit status 1")
    with pytest.raises(InputError, match=r"3 workers in turn ended while they started \(exit status 1\)"):
        queue.not_started("exit status 1")


def test_temporary_files_of_killed_workers_are_removed_by_the_next_one(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(socket, "gethostname", lambda: "node")
    held = f"palpate-node-{os.getpid()}-abc"
    for name in ("palpate-node-4194305-abc", held, "palpate-other-4194305-abc", "palpate-node-mine"):
        (tmp_path / name).mkdir()
    worker = Worker(replace(setup, scratch=None))
    assert isinstance(worker.start(), Ready)
    left = {path.name for path in tmp_path.glob("palpate-*")}
    assert {held, "palpate-other-4194305-abc", "palpate-node-mine"} < left and len(left) == 4
    worker.close()
    assert len(list(tmp_path.glob("palpate-*"))) == 3


def test_a_look_of_workers_finds_what_the_audit_itself_would(setup: Setup, tmp_path: Path) -> None:
    bench, seen = load_bench(setup, tmp_path), Seen()
    subject, found = bench.survival.subject, list(bench.items.values())
    (job,) = looks(subject)
    with subject.victim:
        seen.add(bench.carry_out_apart(job, tmp_path))
        with pytest.raises(InputError, match="a worker has other packages or other files"):
            bench.carry_out_apart(replace(job, shard="0" * 64), tmp_path)
    assert {item.identity: seen.rows(item.identity) for item in found} == attackable(subject, found, bench.room)
    assert any(seen.rows(item.identity) for item in found)


def test_an_image_that_a_worker_refuses_ends_the_audit(setup: Setup, tmp_path: Path) -> None:
    bench, seen = load_bench(setup, tmp_path), Seen()
    (job,) = looks(bench.survival.subject)
    bench.survival.subject.victim.bounds = (0.0, 100.0)
    with bench.survival.subject.victim, pytest.raises(InputError, match=r"image0\.png: .*outside the bounds"):
        seen.add(bench.carry_out(job, RunFolder(tmp_path)))
