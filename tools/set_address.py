"""Write the address of the repository in every file that names it: `python tools/set_address.py https://HOST/OWNER/palpate`.

The address that is replaced is `Repository` under `[project.urls]` of pyproject.toml.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = ("pyproject.toml", "CITATION.cff", ".github/ISSUE_TEMPLATE/config.yml")
"""Every file that names the address."""


def address(root: Path = ROOT) -> str:
    """The address as pyproject.toml has it."""
    return str(tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Repository"])


def replace(new: str, root: Path = ROOT) -> None:
    """Write `new` in the place of the present address.

    Raises:
        ValueError: it is no https address, or ends with a slash.
    """
    if not new.startswith("https://") or new.endswith("/"):
        raise ValueError(f"'{new}' cannot be the address: write https://HOST/OWNER/palpate, without a slash at the end")
    old = address(root)
    for name in FILES:
        file = root / name
        file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


if __name__ == "__main__":
    try:
        replace(sys.argv[1])
    except ValueError as problem:
        raise SystemExit(str(problem)) from None
