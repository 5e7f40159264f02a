"""Two processes share the batches: the training is that of one, and is resumed as that of one."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from palpate.hardening.contracts import Course
from palpate.hardening.loop import train
from palpate.hardening.loop.processes import Processes, processes_for, world
from tests.hardening.loop.tiny import Shuffled, course, network

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import sys
from pathlib import Path
import torch
from palpate.hardening.loop import train
from tests.hardening.loop.test_processes import shared
torch.set_num_threads(1)
folder = Path(sys.argv[1])
trained = train(shared(), folder / "checkpoints")
rank = torch.distributed.get_rank()
torch.save({"state": dict(trained.state), "best": trained.best, "loss": trained.epochs[1].loss}, folder / f"{rank}.pt")
"""


def shared() -> Course:
    """Neither dropout nor batch norms, and 24 images in batches of 7, 7, 7 and 3."""
    module = network(dropout=False, norm=False)
    optimiser = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return course(module, lessons=Shuffled(size=7), optimiser=optimiser, epochs=4)


def test_two_processes_train_as_one(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(tmp_path / "script.py")]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = train(shared(), tmp_path / "alone")
    assert one["best"] == other["best"] == alone.best > 0
    assert one["loss"] == pytest.approx(alone.epochs[1].loss, rel=1e-5)
    for name, tensor in alone.state.items():
        assert torch.equal(one["state"][name], other["state"][name])
        assert torch.allclose(one["state"][name], tensor, atol=1e-4), name


class Many:
    """Stands for a Fabric of several processes."""

    def __init__(self, rank: int, count: int):
        self.global_rank, self.world_size, self.device = rank, count, torch.device("cpu")


def test_every_image_is_in_one_part_and_the_weights_make_the_mean(tmp_path):
    module = nn.Linear(1, 1)
    optimiser = torch.optim.SGD(module.parameters(), lr=1.0)
    for count, size in ((2, 7), (3, 2), (4, 8)):
        batch = next(iter(Shuffled(size=size).epoch(1)))
        parts = [Processes(Many(rank, count), module, optimiser).part(batch) for rank in range(count)]
        mean = sum(weight * float(part.images.mean()) for part, weight in parts) / count
        assert mean == pytest.approx(float(batch.images.mean()), rel=1e-5)
        assert all(len(part.images) == len(part.targets) == len(part.streams.seeds) >= 1 for part, _ in parts)


def test_one_process_is_one_without_torchrun():
    assert world({}) == 1 and world({"WORLD_SIZE": "4"}) == 1
    assert world({"WORLD_SIZE": "4", "LOCAL_RANK": "0"}) == 4
    module = nn.Linear(1, 1)
    made = processes_for(module, torch.optim.SGD(module.parameters(), lr=1.0), "float32")
    assert (made.rank, made.count, made.device.type) == (0, 1, "cpu")
