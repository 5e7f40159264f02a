"""TorchScript is a program: what it can reach beyond computing is found before any of it runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from palpate.errors import InputError
from palpate.models.loading import ModelSource, load_model
from palpate.models.stored.archives import members_of, packed
from palpate.models.stored.torchscript import reaching_out
from tests.models.networks import images, repack, scripted, small


class Saving(nn.Module):
    def __init__(self, place: str):
        super().__init__()
        self.place = place

    def forward(self, images: Tensor) -> Tensor:
        torch.save(images, self.place)
        return images.mean((2, 3))


class Opening(nn.Module):
    def __init__(self, place: str):
        super().__init__()
        self.place = place

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) + torch.from_file(self.place, True, 4).sum()


class Stateful(nn.Module):
    """Its `__setstate__` runs while the file is loaded."""

    def __init__(self, place: str):
        super().__init__()
        self.place = place

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.place, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.place = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.place)

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


class Around(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images)


def load(path: Path, *, allow_pickle: bool = False) -> nn.Module:
    return load_model(ModelSource(torchscript=path.name), path.parent, allow_pickle=allow_pickle)


@pytest.mark.parametrize(
    ("made", "said"),
    [(Saving, "torch.save writes files"), (Opening, "torch.from_file opens files"), (Stateful, "torch.save writes")],
)
@pytest.mark.parametrize("deep", [False, True])
def test_operators_that_touch_files_need_the_flag(
    tmp_path: Path, made: Callable[[str], nn.Module], said: str, deep: bool
) -> None:
    mark = tmp_path / "mark"
    network = made(str(mark)).eval()
    path = scripted(Around(network) if deep else network, tmp_path / "m.ts")
    mark.unlink(missing_ok=True)
    with pytest.raises(InputError, match=rf"m.ts is a program that can do more than compute: {said}.*--allow-pickle"):
        load(path)
    assert not mark.exists()
    load(path, allow_pickle=True)(images())
    assert mark.exists()


def test_frozen_and_traced_programs_are_looked_at_too(tmp_path: Path) -> None:
    frozen = scripted(Saving(str(tmp_path / "mark")).eval(), tmp_path / "frozen.ts", frozen=True)
    with pytest.raises(InputError, match=r"torch.save writes files"):
        load(frozen)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"f = torch.save\n", "torch.save"),
        (b"torch . \n save(x, 'a')", "torch.save"),
        (b"x.save('a')", "torch.save"),
        (b"ops.mylab.run(x)", "torch.ops.mylab is not torch's own"),
        (b"ops . mylab.run(x)", "torch.ops.mylab"),
        (b"o = ops\n", "passes torch.ops on"),
        (b"rpc_async(a, b)", "other machines"),
        (b'getattr(torch, "\\x73ave")', "writes names as numbers"),
        (b'getattr(torch, "sa" "ve")', "texts in pieces"),
        (b"getattr(torch, 'sa'  # as\n 've')", "texts in pieces"),
        (b'getattr(torch, """save""")', "texts in pieces"),
        (b'print("\\033[2J")', "prints control codes for a terminal"),
        (b"torch.warn(torch.chr(27))", "prints control codes for a terminal"),
        (b"a : __torch__.torch.classes.mylab.Runner", "objects of torch.classes.mylab"),
        (b"a : (__torch__.torch.classes  # of\n .mylab.Runner)", "objects of torch.classes.mylab"),
    ],
)
def test_ways_to_hide_an_operator(code: bytes, said: str) -> None:
    assert said in " ".join(reaching_out({"code/__torch__/m.py": code}))


@pytest.mark.parametrize(
    "code",
    [
        b"x = torch.add(x, y); saved = self.saved; drops = 1",
        b"f : __torch__.torchvision.ops.misc.Conv2dNormActivation",
        b"y = ops.prim.data(x); z = ops.quantized.linear(x, w); w = ops.torchvision.nms(b, s, t)",
        b"a : __torch__.torch.classes.quantized.LinearPackedParamsBase",
        b'_0 = getattr(self, "0")',
        b"torch.warn('low contrast\\n')  # m\xc3\xbcller.py: \"warn\"\n",
        b'_0 = ["a", "", "b"]; print(x)',
    ],
)
def test_what_only_computes_needs_no_flag(code: bytes) -> None:
    assert reaching_out({"code/__torch__/m.py": code}) == []


def test_a_pickle_may_name_a_class_in_two_parts() -> None:
    data = b"\x80\x02c__torch__.torch.classes\nmylab.Runner\n."
    assert reaching_out({"constants.pkl": data}) == ["it contains objects of torch.classes.mylab"]
    assert reaching_out({"data.pkl": b"\x80\x02X\x07\x00\x00\x00classesq\x00."}) == []


def test_a_name_in_pieces_would_reach_the_operator(tmp_path: Path) -> None:
    """Why such texts are refused: torch itself joins them."""
    path = scripted(Around(nn.ReLU()).eval(), tmp_path / "m.ts")
    members, mark = members_of(path, "model.torchscript"), tmp_path / "mark"
    name = next(name for name, data in members.items() if name.endswith(".py") and b"return" in data)
    spoilt = members[name].replace(
        b"    return ", f'    getattr(torch, "sa" "ve")(images, "{mark}")\n    return '.encode()
    )
    path.write_bytes(packed({**members, name: spoilt}).getvalue())
    with pytest.raises(InputError, match="it writes texts in pieces"):
        load(path)
    assert not mark.exists()
    load(path, allow_pickle=True)(images())
    assert mark.exists()


def test_a_bundle_s_torchscript_is_looked_at_too(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "models").mkdir()
    (tmp_path / "configs" / "inference.json").write_text("{}")
    scripted(Saving(str(tmp_path / "mark")).eval(), tmp_path / "models" / "model.ts")
    with pytest.raises(InputError, match=r"torch.save writes files"):
        load_model(ModelSource(bundle="."), tmp_path)


def test_members_under_two_names_are_refused(tmp_path: Path) -> None:
    path = scripted(small(), tmp_path / "m.ts")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twice = repack(
            path, tmp_path / "n.ts", lambda _, data: data, {"m/CODE/__torch__/tests/models/networks.py": b""}
        )
    with pytest.raises(InputError, match="two members of the name"):
        load(twice)
