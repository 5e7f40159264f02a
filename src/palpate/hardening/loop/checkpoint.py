"""The checkpoint of a training: files that are written whole or not at all, and hold only plain tensors and values.

`state.pt` says where the training is; `epoch-3.pt` are the weights that epoch 3 was examined with. Such a file is
written before the state that names it, and removed after the state that no longer does. So a kill at any moment leaves
a state whose files are all there.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from palpate.errors import InputError, StorageError
from palpate.hardening.loop.weights import Weights, stored
from palpate.storage.writing import write_atomically

FORMAT = 1
_EPOCH = re.compile(r"epoch-(\d+)\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """The folder of a checkpoint.

    Attributes:
        path: the folder; made with the first file.
    """

    path: Path

    @property
    def state(self) -> Path:
        """The file that says where the training is."""
        return self.path / "state.pt"

    def weights(self, epoch: int) -> Path:
        """The file of the weights that an epoch was examined with."""
        return self.path / f"epoch-{epoch}.pt"

    def exists(self) -> bool:
        """Whether a training was begun here."""
        return self.state.is_file()

    def save(self, contents: Mapping[str, Any]) -> None:
        """Write where the training is: plain values and tensors.

        Raises:
            StorageError: the disk is full or does not accept the file; the earlier checkpoint is unchanged.
            InputError: something is not plain, such as an object in the state of the user's optimiser.
        """
        write_atomically(self.state, _packed({"format": FORMAT, **_plain(contents, "the training")}))

    def save_weights(self, epoch: int, weights: Weights) -> None:
        """Write the weights of an epoch; raises as `save`."""
        write_atomically(self.weights(epoch), _packed(dict(weights)))

    def load(self) -> dict[str, Any]:
        """What `save` wrote.

        Raises:
            StorageError: it is damaged, or of a newer palpate.
        """
        contents: dict[str, Any] = _read(self.state)
        if contents.get("format") != FORMAT:
            raise StorageError(
                f"{self.state} has format {contents.get('format')}, and this palpate reads format {FORMAT}. Install "
                f"the palpate that wrote it, or delete {self.path} to begin again."
            )
        return contents

    def load_weights(self, epoch: int, like: Weights) -> dict[str, Tensor]:
        """The weights of an epoch, with the names and shapes of `like`; raises as `load`."""
        path, found = self.weights(epoch), _read(self.weights(epoch))
        if _shapes(found) != _shapes(like):
            raise StorageError(f"{path} holds the weights of another model. {_begin_again(path)}")
        return found

    @contextmanager
    def readable(self, contents: Mapping[str, Any]) -> Iterator[None]:
        """Inside the block, parts that are missing or of another form are a damaged checkpoint.

        Raises:
            StorageError: it is damaged, or another palpate wrote other parts.
        """
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            versions = contents.get("versions")
            by = versions.get("palpate") if isinstance(versions, Mapping) else None
            written = f", written by palpate {by}," if by else ""
            raise StorageError(
                f"{self.state}{written} lacks parts of a checkpoint, or has others. {_begin_again(self.state)}"
            ) from error

    def keep(self, epochs: Iterable[int]) -> None:
        """Remove the weights of all other epochs, and unfinished files."""
        wanted = set(epochs)
        with suppress(OSError):
            for file in sorted(self.path.iterdir()):
                named = _EPOCH.fullmatch(file.name)
                if (named and int(named[1]) not in wanted) or file.name.endswith(".tmp"):
                    file.unlink(missing_ok=True)


def _shapes(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(tensor, "shape", None) for name, tensor in weights.items()}


def _begin_again(path: Path) -> str:
    return f"Delete the folder {path.parent} to begin again."


def _packed(contents: Mapping[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(contents), buffer)
    return buffer.getvalue()


def _read(path: Path) -> dict[str, Any]:
    fix = _begin_again(path)
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise StorageError(f"{path} is missing. {fix}") from error
    # A damaged file can raise nearly anything.
    except Exception as error:
        raise StorageError(f"{path} is damaged: it cannot be read as a checkpoint. {fix}") from error
    if not isinstance(contents, dict):
        raise StorageError(f"{path} is not a checkpoint of palpate. {fix}")
    return contents


def _plain(value: Any, place: str) -> Any:
    """The value with its tensors copied to the CPU.

    Raises:
        InputError: it holds something that a checkpoint cannot keep.
    """
    if isinstance(value, Tensor):
        return stored({"": value})[""]
    if isinstance(value, Mapping):
        return {key: _plain(part, f"{place}, {key}") for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [_plain(part, place) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise InputError(
        f"harden.optimiser: its state ({place}) holds {type(value).__name__}, which a checkpoint cannot keep. Use "
        "tensors, numbers and texts."
    )
