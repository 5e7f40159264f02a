"""The parts of an earlier start's `run.json` that an audit uses again; their types are checked before they are used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from palpate.errors import StorageError
from palpate.storage.runs import RunFolder
from palpate.victim import Precision

_Seconds = Annotated[float | None, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    """Values are not converted; fields that a newer palpate added are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())


class _Model(_Part):
    sha256: str
    files_sha256: str
    preprocess_sha256: str


class _Data(_Part):
    fingerprint: str


class _Noticed(_Part):
    level: Literal["failure", "warning", "note"]
    subject: str
    text: str


class _Tuning(_Part):
    layout: Literal["contiguous", "channels_last"]
    fold: bool
    search: Precision
    glance: Precision
    precision: str


class _Traced(_Part):
    identity: str
    seconds: _Seconds = None


class _Stability(_Part):
    items: list[_Traced]


class _Probed(_Part):
    identity: str
    seconds: _Seconds


class _Quality(_Part):
    goals: list[_Probed]


class _Export(_Part):
    images: Literal["none", "shown", "all"]
    identifiers: bool


class _Slice(_Part):
    clean: str
    adversarial: str
    perturbation: str


class _Picture(_Part):
    slices: list[_Slice]


class _File(_Part):
    file: str


class _Artefacts(_Part):
    seconds: dict[str, _Seconds]


class _Certificates(_Part):
    seconds: dict[str, _Seconds]


class _Before(_Part):
    palpate: str
    created: str
    finished: str | None
    shards: list[str]
    shard_seconds: dict[str, _Seconds]
    model: _Model
    data: _Data
    findings: list[_Noticed]
    tuning: _Tuning
    versions: dict[str, str]
    machine: dict[str, Any]
    export: _Export | None = None
    exports: list[_File] = []
    gallery: list[_Picture] = []
    files: dict[str, str] = {}
    stability: _Stability | None = None
    quality: _Quality | None = None
    artefacts: _Artefacts | None = None
    certificates: _Certificates | None = None


def read_before(run: RunFolder) -> dict[str, Any]:
    """The contents of `run.json`; each field that an audit uses has the right type.

    Raises:
        StorageError: it cannot be read, another program or a newer palpate wrote it, or a field has a wrong type.
    """
    before = run.describe()
    try:
        _Before.model_validate(before)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise StorageError(
            f"{run.path / 'run.json'}: {field}: {first['msg']}. The file is damaged, or another program wrote it. "
            "Restore it, or choose a new run folder."
        ) from error
    return before
