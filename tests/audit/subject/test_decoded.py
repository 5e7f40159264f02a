"""Images that are asked for again come from memory, up to a limit; another subject reads them itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from palpate.audit.subject.decoded import Decoded
from palpate.audit.subject.subject import load_subject
from palpate.data.rows import Rows
from tests.audit import tiny


def test_what_came_first_stays_and_the_limit_is_kept() -> None:
    asked: list[int] = []

    def read(row: int) -> np.ndarray:
        asked.append(row)
        return np.full((1, 2, 5), row, np.uint8)

    decoded = Decoded(room=25)
    for _ in range(2):
        assert [int(decoded.of(row, read).max()) for row in range(3)] == [0, 1, 2]
    assert asked == [0, 1, 2, 2] and decoded.room == 5


def test_a_subject_decodes_once_gives_copies_and_shares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = load_subject(tiny.write(tmp_path))
    asked, read = [], Rows.image
    monkeypatch.setattr(Rows, "image", lambda table, row: asked.append(row) or read(table, row))
    first = subject.images([0, 1])
    kept = first.clone()
    first.zero_()
    assert torch.equal(subject.images([1, 0]), kept.flip(0)) and asked == [0, 1]
    # With a table of other files, images of these must not be taken for those.
    replace(subject, table=subject.table).images([0])
    assert asked == [0, 1, 0]
