"""What all writers of altered copies have in common."""

from __future__ import annotations

from pathlib import Path

from palpate.data.formats.forms import Array
from palpate.data.formats.scan import Header
from palpate.errors import InputError

SOFTWARE = "palpate"
"""The name of the program in the copies that it wrote."""


def require_fit(source: Path, header: Header, stored: Array, target: Path) -> None:
    """Refuse numbers that do not have the shape and type of the file to copy.

    Raises:
        InputError: shape or type differ, or the copy would replace the original.
    """
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is the original. Write the altered copy under another name.")
    require_form(source, header, stored)


def require_form(source: Path, header: Header, stored: Array) -> None:
    """Refuse numbers that do not have the shape and type of the file to copy; raises InputError."""
    if stored.shape != header.shape or stored.dtype.name != header.dtype:
        raise InputError(
            f"{source} stores {header.shape} numbers of type {header.dtype}, and the copy has {stored.shape} of type "
            f"{stored.dtype.name}. Give numbers of the shape and type in its header, such as from Header.stored."
        )
