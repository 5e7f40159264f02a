"""Images behind a URL: copies on this disk, made when something reads them, removed when others need the room."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from palpate.errors import InputError
from palpate.storage.scratch import temporary_folder

SCHEMES = {
    **{"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"},
    **{"http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "memory": "", "file": ""},
}
"""What a URL may begin with, and the package that fsspec needs for it."""

ROOM = 2**31
"""Bytes of copies in one process."""

_LATEST = 64
"""Files that stay although they need more: what was just asked for is read next."""


def is_url(text: str) -> bool:
    """Whether a text of a plan or a table is a URL, and no path."""
    return "://" in text


def fault_of(url: str) -> str:
    """Why a URL cannot name a folder of images, as a sentence; empty if it can."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or "::" in rest:
        return f"'{url}' begins with none of {', '.join(f'{name}://' for name in SCHEMES)}. Correct it."
    if "@" in rest.partition("/")[0] or "?" in rest:
        # The plan is kept beside the records.
        return "it holds a password or a token. Give it to the service's own settings, such as AWS_PROFILE."
    return ""


def without_secrets(url: str) -> str:
    """A URL as it may be printed: without user, password, and what follows a question mark. A path stays as it is."""
    if not is_url(url):
        return url
    return re.sub(r"\?.*", "?...", re.sub(r"://[^/@]*@", "://", url))


@dataclass(eq=False)
class Remote:
    """A folder behind a URL, and copies of those of its files that are read. Threads may share it.

    Copied to another process, it begins without copies there; see `palpate.audit.engines.images.settled`.

    Attributes:
        url: of the folder, without a slash at its end.
        folder: where the copies are, by the names that the files have behind the URL.
        room: bytes of copies.
    """

    url: str
    folder: Path
    room: int = ROOM
    _sizes: OrderedDict[str, int] = field(default_factory=OrderedDict, init=False, repr=False)
    _held: int = field(default=0, init=False, repr=False)
    _read: Counter[str] = field(default_factory=Counter, init=False, repr=False)
    _lock: Any = field(default_factory=threading.Lock, init=False, repr=False)
    _made: TemporaryDirectory[str] | None = field(default=None, init=False, repr=False)

    @classmethod
    def open(cls, url: str) -> Remote:
        """The folder behind a URL; its copies are removed with it, or when this process ends.

        Raises:
            InputError: the URL is of no kind that is known, or a package for it is missing.
        """
        if fault := fault_of(url):
            raise InputError(f"data.images: {fault}")
        made = temporary_folder()
        remote = cls(url.rstrip("/") + ("/" if url.rstrip("/").endswith(":") else ""), Path(made.name))
        remote._made = made
        remote._asked("")
        return remote

    def __reduce__(self) -> tuple[Callable[..., Remote], tuple[str, Path, int]]:
        return Remote, (self.url, self.folder, self.room)

    def name(self, cell: str) -> str:
        """The path from the folder that a cell of a table means: such a path, or a whole URL.

        Raises:
            InputError: it leads elsewhere.
        """
        path = cell.removeprefix(f"{self.url}/")
        if not path or is_url(path) or path.startswith("/") or ".." in path.split("/") or "\0" in path:
            raise InputError(f"'{without_secrets(cell)}' is not below data.images, {self.url}")
        return PurePosixPath(path).as_posix()

    def hold(self, files: Iterable[Path]) -> bool:
        """Copy some files, or folders of DICOM series, that are not here. Returns whether there were any.

        Args:
            files: paths below `folder`.

        Raises:
            InputError: one does not exist behind the URL, or cannot be read; a package is missing.
        """
        copied = False
        for file in files:
            name = self._name_of(file)
            with self._lock:
                held = name in self._sizes
                if held:
                    self._sizes.move_to_end(name)
            if not held:
                self._keep(name, self._copied(name))
                copied = True
        return copied

    @contextmanager
    def reading(self, files: Iterable[Path]) -> Iterator[None]:
        """Inside the block, copies of these files are not removed, whatever other threads need."""
        names = [self._name_of(file) for file in files]
        with self._lock:
            self._read.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._read.subtract(names)
                for name in names:
                    if self._read[name] <= 0:
                        self._read.pop(name, None)

    def _name_of(self, file: Path) -> str:
        return self.name(os.path.relpath(file, self.folder).replace(os.sep, "/"))

    def _keep(self, name: str, copy: Path) -> None:
        size, target = _size(copy), self.folder / name
        with self._lock:
            if name in self._sizes:  # another thread was faster
                return _remove(copy)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(copy, target)
            self._sizes[name] = size
            self._held += size
            self._make_room()

    def _make_room(self) -> None:
        """Remove the oldest copies that nobody reads."""
        gone = []
        for name in islice(self._sizes, max(0, len(self._sizes) - _LATEST)):
            if self._held <= self.room:
                break
            if name not in self._read:
                self._held -= self._sizes[name]
                gone.append(name)
        for name in gone:
            del self._sizes[name]
            _remove(self.folder / name)

    def _copied(self, name: str) -> Path:
        url, copy = f"{self.url}/{name}", self.folder / f".{secrets.token_hex(8)}"
        system, path = self._asked(name)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            try:
                system.get_file(path, str(copy))
            except (FileNotFoundError, IsADirectoryError):
                if not system.isdir(path):
                    raise
            if not copy.is_file():
                self._copy_series(system, path, copy)
        except BaseException as error:
            _remove(copy)
            if not isinstance(error, Exception):
                raise
            raise InputError(_sentence(url, error)) from error
        return copy

    @staticmethod
    def _copy_series(system: Any, path: str, copy: Path) -> None:
        """The files of a folder, without what is hidden and without folders in it."""
        copy.mkdir(exist_ok=True)
        for entry in system.ls(path, detail=True):
            name = PurePosixPath(entry["name"]).name
            itself = entry["name"].strip("/") == path.strip("/")
            if entry["type"] == "file" and not itself and not name.startswith("."):
                system.get_file(entry["name"], str(copy / name))
        if not any(copy.iterdir()):
            raise FileNotFoundError

    def _asked(self, name: str) -> tuple[Any, str]:
        """The file system, and the path that it knows a file by."""
        from fsspec.core import url_to_fs

        try:
            system, path = url_to_fs(f"{self.url}/{name}", use_listings_cache=False)
        except Exception as error:
            raise InputError(_sentence(f"{self.url}/{name}", error)) from error
        return system, path


def _sentence(url: str, error: Exception) -> str:
    scheme = url.partition(":")[0]
    if isinstance(error, ImportError):
        package = SCHEMES[scheme]
        return f"data.images: {scheme}:// needs {package}, which is not installed. Install it: pip install {package}."
    if isinstance(error, FileNotFoundError):
        return f"{url} does not exist. Correct its name in the table, or put the file there."
    if isinstance(error, PermissionError) or "credentials" in str(error).lower():
        return f"{url} cannot be read with the credentials of this machine for {scheme}://. Give some that allow it."
    lines = str(error).strip().splitlines()
    return f"{url} cannot be read: {type(error).__name__}{f': {lines[0][:200]}' if lines else ''}. Try again later."


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in path.iterdir()) if path.is_dir() else path.stat().st_size


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink()
