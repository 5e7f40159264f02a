"""Where a model comes from, as a plan says it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from palpate.errors import InputError


@dataclass(frozen=True)
class ModelSource:
    """One of: a factory with or without weights, TorchScript, an exported program, or (by a flag) a pickled module.

    Attributes:
        factory: `file.py:function`, or `package.module:function`; it is called with `arguments` and returns a module.
        arguments: keyword arguments of the factory.
        weights: safetensors, or a torch file that holds tensors only. Without a factory: a pickled module.
        torchscript: a file of `torch.jit.save`.
        exported: a file of `torch.export.save`, usually `.pt2`.

    Paths are relative to the folder of the plan.

    Raises:
        InputError: nothing is given, or things that exclude each other.
    """

    factory: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)
    weights: str | None = None
    torchscript: str | None = None
    exported: str | None = None

    def __post_init__(self) -> None:
        origins = {"factory": self.factory, "torchscript": self.torchscript, "exported": self.exported}
        given = [name for name, value in origins.items() if value is not None]
        if len(given) > 1:
            raise InputError(f"model: {' and '.join(given)} exclude each other. Keep the one that is to be tested.")
        if not given and self.weights is None:
            raise InputError(
                'model: nothing says where the model is. Give factory = "file.py:function", torchscript or exported.'
            )
        if self.arguments and self.factory is None:
            raise InputError("model.arguments: they belong to a factory, and none is given. Remove them, or give one.")
        if self.weights is not None and (self.torchscript or self.exported):
            raise InputError(f"model.weights: {given[0]} files hold their own weights. Remove one of the two.")

    def digest(self, root: Path) -> str:
        """SHA-256 over the source's fields and the bytes of the files it names: any change of the model's code shows.

        What a factory imports from elsewhere is not seen.

        Raises:
            InputError: a file cannot be read, or an argument is no plain value.
        """
        arguments = dict(self.arguments)
        try:
            named = json.dumps([self.factory, arguments, self.weights, self.torchscript, self.exported], sort_keys=True)
        except TypeError as error:
            raise InputError(
                f"model.arguments: {error}. Give numbers, texts, truth values, lists or tables."
            ) from error
        digest = hashlib.sha256(named.encode())
        for path in self.files(root):
            try:
                with open(path, "rb") as handle:
                    digest.update(hashlib.file_digest(handle, "sha256").digest())
            except OSError as error:
                raise InputError(f"model: {path} cannot be read: {error.strerror}. Correct its path.") from error
        return digest.hexdigest()

    def files(self, root: Path) -> tuple[Path, ...]:
        """The files that the source names, code first; a factory in a package names none."""
        code = factory_file(self.factory, root) if self.factory else None
        data = (self.weights, self.torchscript, self.exported)
        return (*([code] if code else []), *(root / name for name in data if name is not None))


def factory_file(factory: str, root: Path) -> Path | None:
    """The file of a factory `file.py:function`, or None where it is a module's."""
    place = factory.rpartition(":")[0]
    return root / place if place.endswith(".py") or "/" in place else None
