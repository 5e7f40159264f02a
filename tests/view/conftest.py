"""Run folders with images, which an audit of an earlier palpate wrote: nothing is attacked here."""

import shutil
from pathlib import Path

import pytest

OLD = Path(__file__).parents[1] / "old_runs"


def unpacked(title: str, folder: Path) -> Path:
    """A run folder where `palpate audit` writes it: beside its images, in `runs/`."""
    shutil.unpack_archive(OLD / "inputs.zip", folder)
    shutil.unpack_archive(OLD / f"run_{title}.zip", folder / "runs" / title)
    return folder / "runs" / title


@pytest.fixture(scope="session")
def masks(tmp_path_factory) -> Path:
    """A finished run on masks; tests must not write into it."""
    return unpacked("masks", tmp_path_factory.mktemp("masks"))


@pytest.fixture(scope="session")
def boxes(tmp_path_factory) -> Path:
    """A finished run on boxes; tests must not write into it."""
    return unpacked("boxes", tmp_path_factory.mktemp("boxes"))
