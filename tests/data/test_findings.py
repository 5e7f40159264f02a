"""Findings: several an image, present, absent or not judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.annotation import UNKNOWN
from palpate.data.table import Table
from palpate.errors import InputError
from tests.data.pictures import noise, save


def listing(folder: Path, *cells: str, header: str = "file,effusion,nodule,patient,split") -> Path:
    """A CSV with an image a line, of which the cells behind the file are given."""
    lines = [header]
    for number, rest in enumerate(cells):
        save(folder / f"{number}.png", noise(6, 5, seed=number))
        lines.append(f"{number}.png,{rest}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "labels.csv"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *((cell, 1) for cell in ("1", "1.0")),
        *((cell, 0) for cell in ("0", "0.0")),
        *((cell, UNKNOWN) for cell in ("-1", "-1.0", "", "u", "Uncertain", "NaN")),
    ],
)
def test_cells_say_present_absent_or_not_judged(tmp_path: Path, cell: str, value: int) -> None:
    table = Table.from_findings(listing(tmp_path, f"{cell},1,p,test"), tmp_path, ["effusion", "nodule"])
    findings = table.annotation(0).findings
    assert findings is not None and findings.dtype == np.int64 and findings.tolist() == [value, 1]


def test_findings_keep_the_order_of_the_model(tmp_path: Path) -> None:
    path = listing(tmp_path, "1,0,p1,test", "0,1,p1,train", ",1,p2,test")
    table = Table.from_findings(path, tmp_path, ["nodule", "effusion"], group="patient", where={"split": "test"})
    assert table.classes == ("nodule", "effusion") and [case.group for case in table] == ["p1", "p2"]
    assert [table.annotation(row).findings.tolist() for row in range(2)] == [[0, 1], [1, UNKNOWN]]  # type: ignore[union-attr]
    assert [case.label for case in table] == [-1, -1] and table.annotation(0).labels is None
    assert len(table.limit(1)) == 1


def test_the_identity_is_that_of_images_and_findings(tmp_path: Path) -> None:
    def identity(cells: str) -> str:
        return Table.from_findings(listing(tmp_path, cells), tmp_path, ["effusion", "nodule"]).fingerprint()

    assert identity("1,0,p,test") == identity("1.0,0.0,p,train")
    assert len({identity(f"{cells},p,test") for cells in ("1,0", "0,1", "1,", "1,1")}) == 4


@pytest.mark.parametrize("cell", ["2", "0.5", "perhaps", "p1", "inf"])
def test_a_cell_that_is_no_label(tmp_path: Path, cell: str) -> None:
    path = listing(tmp_path, "1,0,p,test", f"0,{cell},p,test")
    with pytest.raises(InputError, match=rf"labels\.csv, line 3: column 'nodule' holds '{cell}'\. Write 1 \(present\)"):
        Table.from_findings(path, tmp_path, ["effusion", "nodule"])


@pytest.mark.parametrize(
    ("findings", "words"),
    [(["effusoin"], "no column 'effusoin'. Did you mean 'effusion'"), ([], "none is named"), (["a", "a"], "twice")],
)
def test_findings_that_cannot_be(tmp_path: Path, findings: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Table.from_findings(listing(tmp_path, "1,0,p,test"), tmp_path, findings)
