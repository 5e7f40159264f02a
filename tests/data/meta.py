"""MetaImage files written for the tests."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {"int16": "MET_SHORT", "uint8": "MET_UCHAR", "float32": "MET_FLOAT", "float64": "MET_DOUBLE"}


def meta(path: Path, voxels: np.ndarray, *, packed: bool = False, big: bool = False, **changed: Any) -> Path:
    """A MetaImage file as SimpleITK writes it; `.mhd` names a file beside it; a field of None is left out."""
    content = voxels.astype(voxels.dtype.newbyteorder(">" if big else "<")).tobytes(order="F")
    content = zlib.compress(content) if packed else content
    fields = {
        "ObjectType": "Image",
        "NDims": voxels.ndim,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": big,
        "CompressedData": packed,
        "TransformMatrix": " ".join("1" if a == b else "0" for a in range(voxels.ndim) for b in range(voxels.ndim)),
        "Offset": " ".join(["-4.5"] * voxels.ndim),
        "ElementSpacing": " ".join(["0.5", "2", "3", "1"][: voxels.ndim]),
        "DimSize": " ".join(map(str, voxels.shape)),
        "AnatomicalOrientation": "RAI",
        "PatientName": "Doe",
        "ElementNumberOfChannels": None,
        "ElementType": KINDS[voxels.dtype.name],
        "ElementDataFile": "LOCAL" if path.suffix == ".mha" else f"{path.stem}.{'z' if packed else ''}raw",
    } | changed
    head = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None).encode()
    if path.suffix == ".mha":
        path.write_bytes(head + content)
    else:
        path.write_bytes(head)
        (path.parent / f"{path.stem}.{'z' if packed else ''}raw").write_bytes(content)
    return path
