"""Not enough memory: half as many images at once, and the same records."""

from pathlib import Path

import numpy as np
import pytest
import torch

from palpate.audit.run.runner import audit
from palpate.audit.subject.room import Room
from palpate.errors import InputError
from palpate.memory import out_of_memory
from palpate.storage.runs import RunFolder
from tests.audit import tiny

SHORT = """

class Short(nn.Sequential):
    most, where, error = 2, "forward", RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 GB")

    def forward(self, images):
        if self.where == "forward" and len(images) > self.most:
            raise self.error
        if self.where == "backward" and images.requires_grad:
            images = Backwards.apply(images)
        return super().forward(images)

class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images):
        return images.clone()

    @staticmethod
    def backward(ctx, slope):
        if len(slope) > Short.most:
            raise Short.error
        return slope

def short(most=2, where="forward", error=None):
    Short.most, Short.where = most, where
    if error is not None:
        Short.error = eval(error)
    return Short(*layers(4))
"""
PLAN = tiny.PLAN.replace("model.py:build", "model.py:short")


def short(folder: Path, **arguments: object) -> tuple[Path, object]:
    """A plan whose model takes few images at once."""
    written = ", ".join(f"{key} = {value!r}" for key, value in arguments.items())
    tiny.write(folder)
    (folder / "model.py").write_text(tiny.MODEL + SHORT)
    return folder, tiny.rewrite(folder, PLAN.replace("bounds", f"arguments = {{{written}}}\nbounds", 1))


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_records_are_the_same_with_half_the_batch(tmp_path: Path, where: str) -> None:
    _, plan = short(tmp_path / "a", where=where)
    _, roomy = short(tmp_path / "b", where=where, most=99)
    outcome, whole = audit(plan, tmp_path / "run"), audit(roomy, tmp_path / "whole")
    assert outcome.passed and whole.passed and outcome.done == whole.done
    (note,) = [finding for finding in outcome.findings if finding.subject == "memory"]
    assert note.level == "note" and "3 images at once did not fit" in note.text and "run.batch = 1" in note.text
    assert not [finding for finding in whole.findings if finding.subject == "memory"]
    few, many = RunFolder(tmp_path / "run").frame(), RunFolder(tmp_path / "whole").frame()
    assert few["image"].tolist() == many["image"].tolist() and few["success"].tolist() == many["success"].tolist()
    np.testing.assert_allclose(few["margin"], many["margin"], atol=1e-4)
    np.testing.assert_allclose(few["linf"], many["linf"], atol=1e-4)


@pytest.mark.parametrize(
    "error",
    ["MemoryError()", "torch.OutOfMemoryError('CUDA out of memory')", "RuntimeError('CUDA error: out of memory')"],
)
def test_every_way_to_say_it_is_understood(tmp_path: Path, error: str) -> None:
    _, plan = short(tmp_path / "a", error=error)
    assert audit(plan, tmp_path / "run").passed


def test_one_image_that_does_not_fit_is_refused_before_the_first_attack(tmp_path: Path) -> None:
    _, plan = short(tmp_path / "a", most=0)
    with pytest.raises(InputError, match="not enough memory for one image at a time"):
        audit(plan, tmp_path / "run")


def test_rows_keep_their_order_and_the_batch_stays_small() -> None:
    room, tried = Room(8), []

    def work(rows: tuple[int, ...]) -> list[int]:
        tried.append(len(rows))
        if len(rows) > 3:
            raise MemoryError
        return [row * 10 for row in rows]

    assert [row for _, found in room.each(range(9), work) for row in found] == [row * 10 for row in range(9)]
    assert tried == [8, 4, 2, 2, 2, 2, 1] and room.batch == 2
    assert [part for part, _ in room.each(range(3), work)] == [(0, 1), (2,)]


def test_other_errors_pass_unchanged() -> None:
    def work(rows: tuple[int, ...]) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        list(Room(4).each(range(4), work))


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("std::bad_alloc"), True),
        ((getattr(np, "_core", None) or np.core)._exceptions._ArrayMemoryError((1,), np.dtype(float)), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory of my own"), False),
    ],
)
def test_what_counts_as_too_little_memory(error: Exception, short: bool) -> None:
    assert out_of_memory(error) is short
    wrapped = InputError("a sentence")
    wrapped.__cause__ = error
    assert out_of_memory(wrapped) is short
