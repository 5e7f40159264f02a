"""Print the newest section of the changelog, for the page of a release: `python tools/release_notes.py [CHANGELOG]`."""

from __future__ import annotations

import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"
SECTION = "## "


def newest(text: str) -> str:
    """The first section of a changelog: its title, and its text up to the next title of the same level.

    Raises:
        ValueError: the text has no section, or the first one is empty.
    """
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith(SECTION)]
    if not starts:
        raise ValueError(f"the changelog has no section; start one with a line '{SECTION}VERSION'")
    end = starts[1] if len(starts) > 1 else len(lines)
    title, body = lines[starts[0]], "\n".join(lines[starts[0] + 1 : end]).strip()
    if not body:
        raise ValueError(f"the section '{title.removeprefix(SECTION)}' of the changelog is empty; write what changed")
    return f"{title}\n\n{body}\n"


def main(arguments: list[str]) -> int:
    """Print the notes; the exit status is 1 if there are none."""
    file = Path(arguments[0]) if arguments else CHANGELOG
    try:
        print(newest(file.read_text(encoding="utf-8")), end="")
    except (OSError, ValueError) as problem:
        print(f"{file.name}: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
