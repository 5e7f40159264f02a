"""Absurd safetensors: one sentence each, whatever the header says."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from palpate.errors import InputError
from palpate.models.inspect import find_models
from palpate.models.loading import ModelSource, load_model
from palpate.models.stored.files import identify
from tests.models.networks import small

FACTORY = "tests.models.networks:Small"


def entry(**changed: object) -> bytes:
    """A header of one tensor of four bytes, with something else in it."""
    return json.dumps({"first.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changed}}).encode()


HEADERS = {
    "nested lists": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested tables": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "a list": b"[1, 2]",
    "a number": b"{1: 2}",
    "no entries": b"{}",
    "an entry that is a number": b'{"first.weight": 3}',
    "an entry that is null": b'{"first.weight": null}',
    "metadata that is a list": b'{"__metadata__": [1, 2]}',
    "metadata of numbers": b'{"__metadata__": {"a": 1}}',
    "shape of texts": entry(shape=["a"]),
    "shape below zero": entry(shape=[-1]),
    "shape beyond all memory": entry(shape=[2**62, 2**62]),
    "shape of half numbers": entry(shape=[0.5]),
    "no such type": entry(dtype="F33"),
    "type that is a number": entry(dtype=7),
    "offsets that fall": entry(data_offsets=[4, 0]),
    "offsets beyond the file": entry(data_offsets=[0, 2**63]),
    "offsets of three": entry(data_offsets=[0, 4, 8]),
    "two names": b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "a": 3}',
    "bytes that are no text": b'{"\xff\xfe": 1}',
    "numbers without end": b'{"a": ' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_absurd_header_is_one_sentence(tmp_path: Path, name: str) -> None:
    header = HEADERS[name]
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(InputError, match=r"model.weights: .*w.safetensors") as caught:
        load_model(ModelSource(factory=FACTORY, weights=path.name), tmp_path)
    assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)
    find_models(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1, 99_999_999])
def test_an_absurd_length_is_one_sentence(tmp_path: Path, length: int) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + entry() + bytes(4))
    with pytest.raises(InputError, match=r"w.safetensors is neither safetensors nor a whole torch file"):
        load_model(ModelSource(factory=FACTORY, weights=path.name), tmp_path)


def test_every_cut_and_many_flips_are_one_sentence_or_read(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(small().state_dict(), path)
    data = path.read_bytes()
    places = torch.randint(0, len(data), (60,), generator=torch.Generator().manual_seed(0)).tolist()
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 0x20
        for held in (bytes(flipped), data[:place]):
            path.write_bytes(held)
            identify(path)
            with suppress(InputError):
                load_model(ModelSource(factory=FACTORY, weights=path.name), tmp_path)
