"""A run folder: the plan, `run.json`, records and rows of all kinds, pictures, the report.

Every file but a log is written under a temporary name, flushed to the disk and renamed, so that a kill or a full disk
never leaves half a file. Finished work is found again by the identity that is the name of its shard.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from palpate.errors import StorageError
from palpate.storage.artefacts import ARTEFACT_VERSION, ArtefactRow
from palpate.storage.certificates import CERTIFICATE_VERSION, CertificateRow
from palpate.storage.columns import DamagedError, archive, only_text, parquet, read_archive, read_parquet, schema_of
from palpate.storage.description import digest, packed, read_description
from palpate.storage.frames import Frame, frame_of
from palpate.storage.leftovers import sweep
from palpate.storage.log import Change, append_change
from palpate.storage.records import ADDED, SCHEMA_VERSION, Record
from palpate.storage.traces import TRACE_VERSION, TraceRow
from palpate.storage.writing import not_written, write_atomically

ARROW_SCHEMA = schema_of(Record, "palpate.schema", SCHEMA_VERSION)
ARTEFACT_SCHEMA = schema_of(ArtefactRow, "palpate.artefact", ARTEFACT_VERSION)
CERTIFICATE_SCHEMA = schema_of(CertificateRow, "palpate.certificate", CERTIFICATE_VERSION)
TRACE_SCHEMA = schema_of(TraceRow, "palpate.trace", TRACE_VERSION)

_NAME = re.compile(r"\w[\w.-]{0,199}")
_REDO = "Delete {file} and run `palpate audit` again: palpate computes only this part again."


def shard_bytes(records: Iterable[Record]) -> bytes:
    """The file of a shard; equal records give equal bytes."""
    return parquet(records, ARROW_SCHEMA)


def artefact_bytes(rows: Iterable[ArtefactRow]) -> bytes:
    """The file of the rows of an artefact on some images; equal rows give equal bytes."""
    return parquet(rows, ARTEFACT_SCHEMA)


@dataclass(frozen=True)
class RunFolder:
    """The files of a run on the disk."""

    path: Path

    @property
    def plan(self) -> Path:
        """The plan that the run was started with, byte for byte."""
        return self.path / "plan.toml"

    @property
    def images(self) -> Path:
        """Folder of the gallery's pictures."""
        return self.path / "images"

    @property
    def report(self) -> Path:
        """The one-file report."""
        return self.path / "report.html"

    @property
    def results(self) -> Path:
        """The report's figures as JSON."""
        return self.path / "results.json"

    def exists(self) -> bool:
        """Whether a run was started here."""
        return (self.path / "run.json").is_file()

    def describe(self) -> dict[str, Any]:
        """The contents of `run.json`.

        Raises:
            StorageError: there is no run here, it cannot be read, or a newer palpate wrote it.
        """
        return read_description(self.path)

    @staticmethod
    def intact(description: Mapping[str, Any]) -> bool:
        """Whether the contents of `run.json` are what palpate wrote; files of an earlier palpate are not checked."""
        return description.get("digest") in (None, digest(description))

    def save_description(self, description: Mapping[str, Any]) -> str:
        """Write the whole `run.json` with a digest of its contents, and remove the log of the one before.

        Returns:
            The digest, for `append_change`.
        """
        contents, found = packed(description)
        write_atomically(self.path / "run.json", contents)
        try:
            self.log.unlink(missing_ok=True)
        except OSError as error:
            raise not_written(self.log, error) from error
        return found

    @property
    def log(self) -> Path:
        """What changed since `run.json` was written (`palpate.storage.log`)."""
        return self.path / "run.log"

    def append_change(self, found: str, change: Change) -> None:
        """Add one line to the log beside the `run.json` with this digest.

        Raises:
            StorageError: the disk is full or does not accept the file.
        """
        try:
            append_change(self.log, found, change)
        except OSError as error:
            raise not_written(self.log, error) from error

    def shard(self, identity: str) -> Path:
        """The path of the shard with this identity."""
        return self.path / "records" / f"{identity}.parquet"

    def has(self, identity: str) -> bool:
        """Whether this shard was finished."""
        return self.shard(identity).is_file()

    def write_shard(self, identity: str, records: Iterable[Record]) -> None:
        """Write the records of one shard, completely or not at all."""
        self.commit(identity, shard_bytes(records), {})

    def commit(self, identity: str, records: bytes, files: Mapping[str, bytes]) -> None:
        """Store a shard once: first the files that belong to it, by their path in this folder, then its records.

        A shard whose records are there has all its files. Files that are there already with these bytes stay.
        """
        for name, data in files.items():
            path = self.path / name
            if path.is_symlink() or not path.is_file() or path.read_bytes() != data:
                write_atomically(path, data)
        write_atomically(self.shard(identity), records)

    def read_shard(self, identity: str) -> pa.Table:
        """One shard as an Arrow table.

        Raises:
            StorageError: the file is damaged or has a newer schema.
        """
        return _read(self.shard(identity), ARROW_SCHEMA, f"schema {SCHEMA_VERSION}", ADDED)

    def frame(
        self, keep: Callable[[str], bool] = lambda identity: True, fields: Collection[str] | None = None
    ) -> Frame:
        """Every finished record of the current plan as columns, in the plan's order.

        Args:
            keep: which shards to read; all of them by default.
            fields: which columns to keep; all of them by default.

        Raises:
            StorageError: `run.json` or a shard cannot be read.
        """
        named = self._identities("shards", self.describe().get("shards", []))
        wanted = [i for i in named if keep(i) and self.has(i)]
        return self.records(wanted, fields)

    def records(self, identities: Iterable[str], fields: Collection[str] | None = None) -> Frame:
        """The records of some stored shards as columns, one shard after the other.

        Raises:
            StorageError: a shard is missing or cannot be read.
        """
        return frame_of(map(self.read_shard, identities), Record, ARROW_SCHEMA, fields)

    def attack_of(self, identity: str) -> str | None:
        """The name of the attack in the records of a shard, without reading them; None if only they say it."""
        return only_text(self.shard(identity), "attack")

    def table(self) -> pa.Table:
        """Every finished record of the current plan as one Arrow table, in the plan's order.

        Raises:
            StorageError: `run.json` or a shard cannot be read.
        """
        named = self._identities("shards", self.describe().get("shards", []))
        return pa.concat_tables([ARROW_SCHEMA.empty_table(), *(self.read_shard(i) for i in named if self.has(i))])

    def complete(self) -> bool:
        """Whether every shard that `run.json` names is there, of attacks, artefacts and certificates.

        Raises:
            StorageError: `run.json` cannot be read.
        """
        return (
            all(map(self.has, self._identities("shards", self.describe().get("shards", []))))
            and all(map(self.has_artefacts, self._listed("artefacts")))
            and all(map(self.has_certificates, self._listed("certificates")))
        )

    def _listed(self, part: str) -> list[str]:
        """The identities of the shards of a part of `run.json`."""
        described = self.describe().get(part) or {}
        return self._identities(
            f"{part}.shards", described.get("shards", []) if isinstance(described, dict) else described
        )

    def _identities(self, field: str, names: Any) -> list[str]:
        """Names of files from `run.json`; raises StorageError if one is not a plain name inside its folder."""
        if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
            raise StorageError(
                f"{self.path / 'run.json'}: {field} does not list the identities of stored files. "
                "Restore it, or start a new run folder."
            )
        return names

    def questions(self, identity: str) -> Path:
        """The path of what an unfinished shard asked and was answered (`palpate.storage.questions`)."""
        return self.path / "questions" / f"{identity}.log"

    def forget_questions(self, identity: str) -> None:
        """Remove the questions of a shard whose records are stored, and their folder with the last one."""
        with suppress(OSError):
            self.questions(identity).unlink(missing_ok=True)
            self.questions(identity).parent.rmdir()

    def learned(self, identity: str) -> Path:
        """The path of what was learned before the attacks (`universal`)."""
        return self.path / "learned" / f"{identity}.npz"

    def artefacts(self, identity: str) -> Path:
        """The path of the rows of an artefact on some images."""
        return self.path / "artefacts" / f"{identity}.parquet"

    def has_artefacts(self, identity: str) -> bool:
        """Whether these rows were finished."""
        return self.artefacts(identity).is_file()

    def write_artefacts(self, identity: str, rows: Iterable[ArtefactRow]) -> None:
        """Write the rows of an artefact on some images, completely or not at all."""
        self.commit_artefacts(identity, artefact_bytes(rows))

    def commit_artefacts(self, identity: str, rows: bytes) -> None:
        """Store the file of `artefact_bytes`."""
        write_atomically(self.artefacts(identity), rows)

    def read_artefacts(self, identity: str) -> pa.Table:
        """The rows of an artefact on some images as an Arrow table.

        Raises:
            StorageError: the file is damaged or of a newer version.
        """
        return _read(self.artefacts(identity), ARTEFACT_SCHEMA, f"artefact version {ARTEFACT_VERSION}")

    def artefact_frame(self) -> Frame:
        """All finished rows of the current plan's artefacts as columns, in its order; empty columns without artefacts.

        Raises:
            StorageError: `run.json` or a file cannot be read.
        """
        wanted = [one for one in self._listed("artefacts") if self.has_artefacts(one)]
        return frame_of(map(self.read_artefacts, wanted), ArtefactRow, ARTEFACT_SCHEMA)

    def certificates(self, identity: str) -> Path:
        """The path of the certificates of an image."""
        return self.path / "certificates" / f"{identity}.parquet"

    def has_certificates(self, identity: str) -> bool:
        """Whether these certificates were finished."""
        return self.certificates(identity).is_file()

    def write_certificates(self, identity: str, rows: Iterable[CertificateRow]) -> None:
        """Write the certificates of an image, completely or not at all."""
        write_atomically(self.certificates(identity), parquet(rows, CERTIFICATE_SCHEMA))

    def read_certificates(self, identity: str) -> pa.Table:
        """The certificates of one shard as an Arrow table.

        Raises:
            StorageError: the file is damaged or has a newer version.
        """
        return _read(self.certificates(identity), CERTIFICATE_SCHEMA, f"certificate version {CERTIFICATE_VERSION}")

    def certificate_frame(self) -> Frame:
        """All finished certificates of the current plan as columns, in its order; empty columns without any.

        Raises:
            StorageError: `run.json` or a file cannot be read, is damaged or of a newer version.
        """
        listed = (one for one in self._listed("certificates") if self.has_certificates(one))
        tables = (self.read_certificates(one) for one in listed)
        return frame_of(tables, CertificateRow, CERTIFICATE_SCHEMA)

    def trace(self, identity: str) -> Path:
        """The path of the trace with this identity; its maps are next to it, under the same name with `.npz`."""
        return self.path / "stability" / f"{identity}.parquet"

    def has_trace(self, identity: str) -> bool:
        """Whether this trace was finished."""
        path = self.trace(identity)
        return path.is_file() and path.with_suffix(".npz").is_file()

    def write_trace(
        self, identity: str, rows: Iterable[TraceRow], maps: Mapping[str, npt.NDArray[Any]] | None = None
    ) -> None:
        """Write the rows and maps of one trace; it is finished when both files exist.

        Args:
            identity: the name of the files.
            rows: the lines of `<identity>.parquet`.
            maps: the arrays of `<identity>.npz`: numbers and truth values, no objects. None keeps the existing file.
        """
        if maps is not None:
            write_atomically(self.trace(identity).with_suffix(".npz"), archive(maps))
        write_atomically(self.trace(identity), parquet(rows, TRACE_SCHEMA))

    def read_trace(self, identity: str) -> pa.Table:
        """The rows of one trace as an Arrow table.

        Raises:
            StorageError: the file is damaged or of a newer version.
        """
        return _read(self.trace(identity), TRACE_SCHEMA, f"trace version {TRACE_VERSION}")

    def trace_frame(self, identity: str) -> Frame:
        """The rows of one trace as columns.

        Raises:
            StorageError: the file is missing, damaged or of a newer version.
        """
        return frame_of([self.read_trace(identity)], TraceRow, TRACE_SCHEMA)

    def traces(self) -> Frame:
        """Every finished trace of the current plan as columns, in the plan's order; empty columns without traces.

        Raises:
            StorageError: `run.json` or a trace cannot be read.
        """
        stability = self.describe().get("stability") or {}
        items = stability.get("items", []) if isinstance(stability, dict) else stability
        names = [one.get("identity") for one in items if isinstance(one, dict)] if isinstance(items, list) else items
        wanted = [identity for identity in self._identities("stability.items", names) if self.has_trace(identity)]
        return frame_of(map(self.read_trace, wanted), TraceRow, TRACE_SCHEMA)

    def trace_maps(self, identity: str) -> dict[str, npt.NDArray[Any]]:
        """The arrays of one trace by their names.

        Raises:
            StorageError: the file is missing or damaged.
        """
        path = self.trace(identity).with_suffix(".npz")
        fix = _REDO.format(file=self.trace(identity))
        if not path.is_file():
            raise StorageError(f"{path} is missing. {fix}")
        try:
            return read_archive(path)
        except DamagedError as error:
            raise StorageError(f"{path} is damaged ({error}). {fix}") from error

    def foreign_maps(self, identity: str) -> StorageError:
        """The error for arrays that can be read but are not those of a trace."""
        path = self.trace(identity)
        return StorageError(f"{path.with_suffix('.npz')} does not hold the maps of a trace. {_REDO.format(file=path)}")

    def sweep(self) -> None:
        """Remove unfinished files of a killed process. Only for a folder that holds a run."""
        sweep(self.path)


def _read(path: Path, schema: pa.Schema, version: str, added: Mapping[str, object] | None = None) -> pa.Table:
    try:
        table = read_parquet(path, schema, added)
    except DamagedError as error:
        raise StorageError(f"{path} is damaged ({error}). {_REDO.format(file='this file')}") from error
    if table is None:
        raise StorageError(f"{path} does not have the fields of {version}. {_REDO.format(file='this file')}")
    return table
