"""Masks in DICOM SEG files: their segments on the grid of the image, matched to structures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from palpate.data.annotations.annotation import Labels
from palpate.data.cases import listed
from palpate.errors import InputError

_MAGIC, _PREAMBLE = b"DICM", 128
_STORAGE = "1.2.840.10008.5.1.4.1.1.66.4"


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM SEG, by its content; False if it cannot be opened."""
    try:
        with open(path, "rb") as handle:
            if handle.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] != _MAGIC:
                return False
    except OSError:
        return False
    from pydicom.filereader import read_file_meta_info

    try:
        return str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")) == _STORAGE
    except Exception:  # the reader of the file reports the error
        return False


def segments(path: Path, reference: Path, structures: Sequence[str], values: Sequence[int]) -> Labels:
    """The segments of a DICOM SEG as masks (S, *spatial) of 0 and 1 on the grid of its image.

    Args:
        path: the DICOM SEG.
        reference: the image, or the folder of the series.
        structures: names of segments, in upper or lower case; a structure without a segment is not in the image.
            Empty: `values` are used instead.
        values: numbers of segments, from 1.

    Raises:
        InputError: the file cannot be read, is not of this image, or has segments that are not a structure.
    """
    from palpate.data.formats.dicom import read_segmentation

    found = read_segmentation(path, reference)
    stack = np.asarray(found.labels, dtype=np.int64)
    places = _by_name(path, found.names, structures) if structures else _by_number(path, found.names, values)
    empty = np.zeros(stack.shape[1:], dtype=np.int64)
    return np.stack([np.maximum.reduce([stack[place] for place in own], initial=0) if own else empty for own in places])


def _by_name(path: Path, names: Sequence[str], structures: Sequence[str]) -> list[list[int]]:
    """Places of the segments of each structure; several segments of one name are one structure."""
    lowered = [name.strip().lower() for name in names]
    wanted = [structure.strip().lower() for structure in structures]
    if strange := [name for name, low in zip(names, lowered, strict=True) if low not in wanted]:
        raise InputError(
            f"{path} has the segment '{strange[0]}', and the structures are {listed(structures)}. Name each segment in "
            "task.structures, or give the numbers of the segments that count in data.values."
        )
    return [[place for place, low in enumerate(lowered) if low == name] for name in wanted]


def _by_number(path: Path, names: Sequence[str], values: Sequence[int]) -> list[list[int]]:
    from palpate.data.formats.dicom.files import one_sentence, open_header

    with one_sentence(path):
        sequence = open_header(path, ("SegmentSequence",)).dataset.SegmentSequence
        numbers = [int(item.SegmentNumber) for item in sequence]
    if missing := [value for value in values if value not in numbers]:
        known = listed(f"{number} {name}" for number, name in zip(numbers, names, strict=True))
        raise InputError(f"{path} has the segments {known}, and data.values names {missing[0]}. Correct it.")
    return [[numbers.index(value)] for value in values]
