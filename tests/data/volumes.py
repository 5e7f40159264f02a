"""Volumes written for the tests."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

AFFINE = np.diag([0.5, 2.0, 3.0, 1.0])


def scan(*shape: int, seed: int = 0) -> np.ndarray:
    """Whole numbers that every type of voxel can hold."""
    return np.random.default_rng(seed).integers(0, 200, size=shape).astype(np.int16)


def write(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE, *, unit: str = "mm") -> Path:
    """Write a NIfTI file with nibabel; voxels of 0.5 x 2 x 3 mm by default."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units(unit)
    image.to_filename(path)
    return path


def changed(path: Path, *fields: object) -> Path:
    """Overwrite header fields, name and value in turn, in an uncompressed file, which nibabel would not write so."""
    content = bytearray(path.read_bytes())
    header = np.frombuffer(content, dtype=nibabel.Nifti1Header.template_dtype, count=1)
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        header[0][name] = value
    path.write_bytes(bytes(content))
    return path
