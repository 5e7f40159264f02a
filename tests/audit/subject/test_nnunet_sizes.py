"""Volumes whose files do not give the size of a voxel, under an nnU-Net: it reads them as 1 mm."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from palpate.audit.plan.plan import load_plan
from palpate.audit.subject.notes import size_note
from palpate.audit.subject.subject import load_subject
from tests.hardening.nnunet import folders


def sizeless(path: Path) -> None:
    """Write a volume again without the size of its voxels: pixels of 1, and no unit."""
    stored = nibabel.load(path)
    bare = nibabel.Nifti1Image(np.asarray(stored.dataobj), np.eye(4))
    bare.header.set_xyzt_units("unknown")
    nibabel.save(bare, path)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folders.stand_in(monkeypatch)
    folders.write(tmp_path)
    for folder in ("imagesTs", "labelsTs"):
        sizeless(min((tmp_path / "raw" / folder).iterdir()))
    return tmp_path / "plan.toml"


def test_they_are_taken_as_1_mm_and_a_note_says_so(plan: Path) -> None:
    subject = load_subject(load_plan(plan))
    assert subject.spacing_of(0) == (1.0, 1.0, 1.0) and subject.spacing_of(1) != (1.0, 1.0, 1.0)
    (note,) = size_note(load_plan(plan), subject.table)
    assert (note.level, note.subject) == ("note", "data.spacing")
    assert note.text.startswith("1 image of 2 do not give the size of a voxel, so nnU-Net takes 1 mm")
    with subject.victim:
        assert subject.victim.judge(subject.images([0])).shape[0] == 1, "the pipeline knows a spacing to resample by"


def test_the_plan_can_give_another_size(plan: Path) -> None:
    plan.write_text(plan.read_text().replace("[data]", "[data]\nspacing = [2.0, 1.0, 1.0]"))
    sizeless(max((plan.parent / "raw" / "imagesTs").iterdir()))
    sizeless(max((plan.parent / "raw" / "labelsTs").iterdir()))
    subject = load_subject(load_plan(plan))
    assert subject.spacing_of(0) == subject.spacing_of(1) == (2.0, 1.0, 1.0)
    assert not list(size_note(load_plan(plan), subject.table))
