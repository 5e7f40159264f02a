"""Where the files of an audit may be: in the plan's own folder, or below a root that the plan lists."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from palpate.data.cases import Case
from palpate.errors import InputError

_SHALLOW = 3
"""A common folder with no more parts than this (`/home/name`) is too large to allow in one line."""


@dataclass(frozen=True)
class Places:
    """The folders from which images, masks and tables may be read. Of a symbolic link the target counts.

    Attributes:
        home: the plan's own folder.
        roots: further folders as the plan writes them, relative to its own or absolute.
    """

    home: Path
    roots: tuple[str, ...] = ()
    _folders: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def allowed(self) -> tuple[str, ...]:
        """The folders, resolved.

        Raises:
            InputError: a root is not a folder.
        """
        home, *folders = (os.path.realpath(path) for path in (self.home, *(self.home / root for root in self.roots)))
        for written, folder in zip(self.roots, folders, strict=True):
            if not os.path.isdir(folder):
                raise InputError(f"data.roots: '{written}' is not a folder. Correct it, or remove it.")
        return home, *folders

    def outside(self, files: Iterable[Path]) -> list[Path]:
        """The files that are in none of the folders."""
        return [path for path in files if self._home_of(self._real(path)) is None]

    def require(self, what: str, files: Iterable[Path]) -> None:
        """Refuse files that are in none of the folders, and show the line that would allow them.

        Args:
            what: the field or layout that names the files, for the message.
            files: their paths, links not yet followed.

        Raises:
            InputError: one of them is outside.
        """
        files = list(files)
        if not (strange := self.outside(files)):
            return
        first, leads = strange[0], self._real(strange[0])
        count = f"{len(strange)} of {len(files)} files are" if len(files) > 1 else "the file is"
        shown = f"'{first}'" if str(first) == leads else f"'{first}', which leads to '{leads}'"
        line = json.dumps([*self.roots, *self.roots_for(strange)], ensure_ascii=False)
        raise InputError(
            f"{what}: {count} outside of the plan's folder, {self.allowed[0]}"
            f"{', and of data.roots' if self.roots else ''}: first {shown}. "
            f"If they belong to the audit, write in [data]: roots = {line}"
        )

    def roots_for(self, files: Iterable[Path]) -> list[str]:
        """The folders to list in `data.roots` so that these files may be read; as few as make sense."""
        files = list(files)
        links = [self._link(path) for path in files]
        real = [self._real(path) for path, link in zip(files, links, strict=True) if link is None]
        folders = sorted({path if os.path.isdir(path) else os.path.dirname(path) for path in real})
        drives = {os.path.splitdrive(folder)[0] for folder in folders}
        common = os.path.commonpath(folders) if len(drives) == 1 else ""
        if len(Path(common).parts) > _SHALLOW:
            folders = [common]
        return [*sorted({link for link in links if link}), *map(self._written, folders)]

    def _link(self, path: Path) -> str | None:
        """The link below the plan's folder through which a path leads elsewhere; None if there is none.

        A link has the same name on every machine; its target does not.
        """
        parts = Path(os.path.relpath(path, self.home)).parts
        for count in range(1, len(parts) + 1) if ".." not in parts else ():
            prefix = os.path.join(self.home, *parts[:count])
            if os.path.islink(prefix) and os.path.isdir(prefix):
                return Path(*parts[:count]).as_posix()
        return None

    def named(self, cases: Sequence[Case], images: Path) -> tuple[Case, ...]:
        """Cases with names without folders of this machine; call `require` first.

        A name that starts from the folder of the images stays. One that leads out of it becomes the path from the
        plan's folder or from the root that contains the file.

        Raises:
            InputError: two images would have one name.
        """
        depth = self._depth(images)
        held = tuple(self._named(case, images, depth) for case in cases)
        seen: dict[str, Case] = {}
        for case in held:
            if (other := seen.setdefault(case.name, case)) is not case:
                raise InputError(
                    f"data: two images would both be called '{case.name}' in the records: '{other.path}' and "
                    f"'{case.path}'. Rename one, or list a root in data.roots that contains both."
                )
        return held

    def _named(self, case: Case, images: Path, depth: int) -> Case:
        flat = os.path.normpath(case.path)
        if not os.path.isabs(flat) and flat.split(os.sep).count("..") <= depth:
            return case
        real = self._real(images / case.path)
        name = Path(os.path.relpath(real, self._home_of(real))).as_posix()
        return replace(case, name=name, group=name if case.group == case.name else case.group, file=case.path)

    def _depth(self, images: Path) -> int:
        """How many folders up a name may lead without leaving the plan's folder."""
        real = os.path.realpath(images)
        return len(Path(os.path.relpath(real, self.allowed[0])).parts) if _below(real, self.allowed[0]) else 0

    def _home_of(self, real: str) -> str | None:
        return next((folder for folder in self.allowed if _below(real, folder)), None)

    def _real(self, path: Path) -> str:
        # Thousands of files are in one folder: only the file itself is checked again for being a link.
        parent, name = os.path.split(os.path.abspath(path) if not path.is_absolute() else path)
        if name in ("", ".", "..") or ".." in path.parts:
            return os.path.realpath(path)
        if parent not in self._folders:
            self._folders[parent] = os.path.realpath(parent)
        real = os.path.join(self._folders[parent], name)
        return os.path.realpath(real) if os.path.islink(real) else real

    def _written(self, folder: str) -> str:
        """A folder as a plan would write it: relative if it is beside the plan's or in one workspace, else absolute."""
        home = self.allowed[0]
        same = os.path.splitdrive(folder)[0] == os.path.splitdrive(home)[0]
        shared = len(Path(os.path.commonpath([folder, home])).parts) if same else 0
        near = shared > _SHALLOW or _below(folder, os.path.dirname(home))
        return Path(os.path.relpath(folder, home)).as_posix() if near else folder


def from_folder(images: Path, text: str) -> str:
    """A path as a table writes it, from the folder of the images if it is below that, with forward slashes."""
    path = PurePosixPath(text)
    if path.is_absolute():
        for root in (images.absolute(), images.resolve()):
            if path.is_relative_to(root.as_posix()):
                return path.relative_to(root.as_posix()).as_posix()
    return path.as_posix()


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith(os.sep) else folder + os.sep)
