"""What all writers of altered copies share."""

from __future__ import annotations

from pathlib import Path

from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header
from palpate.errors import InputError

SOFTWARE = "palpate"
"""What copies name as the program that wrote them."""


def require_fit(source: Path, header: Header, stored: Array, target: Path) -> None:
    """Refuse numbers that are not of the shape and type of the file that they are to be a copy of.

    Raises:
        InputError: shape or type differ, or the copy would replace the original.
    """
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is the original. Write the altered copy under another name.")
    if stored.shape != header.shape or stored.dtype.name != header.dtype:
        raise InputError(
            f"{source} stores {header.shape} numbers of type {header.dtype}, and the copy has {stored.shape} of type "
            f"{stored.dtype.name}. Give the numbers as its header says, such as by Header.stored."
        )
