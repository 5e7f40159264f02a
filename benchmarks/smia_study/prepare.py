"""Data and weights of the examples, made by the examples' own scripts where they are absent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.measure import say
from palpate.errors import InputError

SOURCES = {
    "fundus_dr": "cls_fundus_dr_aptos2019",
    "covid_ct": "seg_ct_covid_infection",
    "polyps": "seg_polyp_kvasir",
    "polyp_boxes": "seg_polyp_kvasir",
    "hippocampus": "seg3d_mr_hippocampus",
    "vessels": "seg_fundus_vessels",
}
"""Folder of the shared data that each example's `prepare.py` reads."""


def prepare(folder: Path, data: Path) -> None:
    """Make an example's `data/` and `weights/` where they are absent.

    Args:
        folder: folder of the example.
        data: folder with the sets, one folder each.

    Raises:
        InputError: the set is not there.
    """
    _data(folder, data)
    if not any((folder / "weights").glob("*.safetensors")) and (folder / "train.py").is_file():
        more = ("--data", folder / "data") if folder.name == "fundus_dr" else ()
        _script(folder / "train.py", *more)


def _data(folder: Path, data: Path) -> None:
    if any((folder / "data").glob("*.csv")):
        return
    source = data / SOURCES[folder.name]
    if not source.is_dir():
        raise InputError(f"{source} does not exist. Give the folder that holds the sets with --data.")
    if folder.name == "fundus_dr":
        (folder / "data").symlink_to(source.resolve(), target_is_directory=True)
        return
    more = ("--weights", data / "weights" / "fundus_vessel_wnet_drive.npz") if folder.name == "vessels" else ()
    _script(folder / "prepare.py", "--source", source, *more)


def _script(path: Path, *options: object) -> None:
    command = [sys.executable, str(path), *map(str, options)]
    say("$ " + " ".join(command))
    subprocess.run(command, check=True)
