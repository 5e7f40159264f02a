"""Run folders with images, which an audit of an earlier palpate wrote: nothing is attacked here."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from palpate.storage.certificates import CertificateRow
from palpate.storage.runs import RunFolder
from tests.report.certificates import add_certificates, item_of

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


@pytest.fixture(scope="session")
def certified(tmp_path_factory) -> Path:
    """A finished run on classes with traces and certificates; tests must not write into it."""
    return with_certificates(unpacked("grades", tmp_path_factory.mktemp("grades")), classes=True)


@pytest.fixture(scope="session")
def certified_masks(tmp_path_factory) -> Path:
    """The same on masks: bounds of a score."""
    return with_certificates(unpacked("masks", tmp_path_factory.mktemp("certified_masks")), classes=False)


def with_certificates(path: Path, *, classes: bool) -> Path:
    """Made-up certificates of the first images of a run, for two sigmas."""
    run = RunFolder(path)
    frame = run.frame()
    _, first = np.unique(frame["row"], return_index=True)
    images = [
        {
            "row": int(frame["row"][place]),
            "image": frame["image"][place],
            "group": frame["group"][place],
            "label": int(frame["label"][place]) if classes else -1,
            "prediction": int(frame["clean_prediction"][place]) if classes else -1,
            "right": bool(frame["clean_right"][place]),
            "score": float(frame["clean_score"][place]),
        }
        for place in first[:8]
    ]
    items = [item_of(sigma, masks=not classes) for sigma in (5.0, 10.0)]
    made = add_certificates(run, images, items, [] if classes else [["pixel accuracy", ""]])
    if not classes:
        for name in (f"{item['item']}-{image['row']}" for item in items for image in images):
            rows = made.read_certificates(name).to_pylist()
            undefined = {"certified": float("nan"), "share": float("nan")}
            made.write_certificates(name, [CertificateRow(**{**row, **undefined}) for row in rows])
    return path
