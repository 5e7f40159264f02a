"""What an exported program may hold: code in any of its corners is refused before torch sees the file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from palpate.errors import InputError
from palpate.models.loading import ModelSource, load_model, weights_digest
from tests.models.networks import exported, images, repack, small


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(small(), tmp_path_factory.mktemp("exported") / "m.pt2")


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("torch was given the file")

    monkeypatch.setattr(torch.export, "load", refuse)


def load(path: Path, *, allow_pickle: bool = False) -> torch.nn.Module:
    return load_model(ModelSource(exported=path.name), path.parent, allow_pickle=allow_pickle)


def same(name: str, data: bytes) -> bytes:
    return data


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("data/aotinductor/model/model.so", "compiled code"),
        ("data/aotinductor/model/readme.txt", "compiled code"),
        ("data/aotinductor/other/kernel.cubin", "compiled code"),
        ("data/executorch/model.pte", "compiled code"),
        ("data/constants/custom_obj_0", "pickled objects"),
        ("data/constants/opaque_obj_0", "pickled objects"),
        ("data/weights/helper.so", "not part of a plain exported program"),
        ("models/other.json", "not part of a plain exported program"),
        ("code/forward.py", "not part of a plain exported program"),
        ("data.pkl", "not part of a plain exported program"),
    ],
)
def test_members_that_a_plain_program_does_not_have_are_refused(
    tmp_path: Path, program: Path, member: str, said: str
) -> None:
    path = repack(program, tmp_path / "m.pt2", same, {f"m/{member}": b"\x7fELF"})
    with pytest.raises(InputError, match=rf"contains .*{said}.*--allow-pickle"):
        load(path)


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize(
    "member", ["m/../x.so", "/m/x", "m//x", "m/a\\b", "m/MODELS/model.json", "m/models/MODEL.json", "m/a\x1b[1m"]
)
def test_names_that_two_readers_may_read_differently_are_refused(tmp_path: Path, program: Path, member: str) -> None:
    path = repack(program, tmp_path / "m.pt2", same, {member: b"x"})
    with pytest.raises(InputError, match=r"torch never writes|not part of a plain") as caught:
        load(path)
    assert str(caught.value).isprintable()


@pytest.mark.usefixtures("unseen")
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path, program: Path) -> None:
    path = repack(program, tmp_path / "m.pt2", same, {"m/models/model.json": b"{}"})
    with pytest.raises(InputError, match="two members of the name"):
        load(path)


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt2", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/archive_format", "pt2")
        with archive.open("m/data/weights/weight_0", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
    with pytest.raises(InputError, match="unpacks to far more bytes"):
        load(tmp_path / "m.pt2")


# -- text that torch would run -------------------------------------------------------------------------------------

Spoil = Callable[[Any, str], None]


def node(held: Any) -> Any:
    return held["graph_module"]["graph"]["nodes"][0]


def size(held: Any, run: str) -> None:
    held["graph_module"]["graph"]["tensor_values"]["images"]["sizes"][0]["as_expr"]["expr_str"] = run


def size_in_a_function(held: Any, run: str) -> None:
    size(held, f"Max({run!r})")


def symbol(held: Any, run: str) -> None:
    held["range_constraints"][run] = {"min_val": 0, "max_val": None}


def operator(held: Any, run: str) -> None:
    node(held)["target"] = "torch.serialization.os.mkdir"


def file_operator(held: Any, run: str) -> None:
    node(held)["target"] = "torch.ops.aten.from_file.default"


def foreign_operator(held: Any, run: str) -> None:
    node(held)["target"] = "torch.ops.mylab.special.default"


def attribute(held: Any, run: str) -> None:
    node(held)["target"] = "torch.ops.aten.__class__"


def attribute_of_an_operator(held: Any, run: str) -> None:
    node(held)["target"] = "torch.ops.aten.add.__reduce__"


def keyword(held: Any, run: str) -> None:
    node(held)["inputs"][1] |= {"kind": 2, "name": f"other={run}, alpha"}


def name(held: Any, run: str) -> None:
    node(held)["name"] = f"a'); {run}; ('"


def structure(held: Any, run: str) -> None:
    signature = held["graph_module"]["module_call_graph"][0]["signature"]
    spec = json.loads(signature["in_spec"])
    spec[1]["children_spec"][1]["context"] = json.dumps([{"__enum__": True, "fqn": "antigravity:a.b", "name": "x"}])
    signature["in_spec"] = json.dumps(spec)


def factory(held: Any, run: str) -> None:
    signature = held["graph_module"]["module_call_graph"][0]["signature"]
    spec = json.loads(signature["out_spec"])
    spec[1] = {"type": "collections.defaultdict", "context": "{}", "children_spec": []}
    signature["out_spec"] = json.dumps(spec)


SPOILS = [
    *(size, size_in_a_function, symbol, operator, file_operator, foreign_operator, attribute),
    attribute_of_an_operator,
    *(keyword, name, structure, factory),
]


@pytest.mark.usefixtures("unseen")
@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_text_that_torch_would_run_is_refused(tmp_path: Path, program: Path, spoil: Spoil) -> None:
    run = f"__import__('os').mkdir('{tmp_path / 'sprung'}')"

    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return data
        held = json.loads(data)
        spoil(held, run)
        return json.dumps(held).encode()

    path = repack(program, tmp_path / "m.pt2", change, {})
    assert path.read_bytes() != program.read_bytes()
    with pytest.raises(InputError, match=r"m.pt2 contains .*--allow-pickle"):
        load(path)


def test_sizes_are_run_as_code_by_torch_itself(tmp_path: Path, program: Path) -> None:
    # The reason for all of this; where torch stops doing it, the check can go.
    def change(name: str, data: bytes) -> bytes:
        text = f'__import__("os").mkdir("{tmp_path / "sprung"}") or 2'
        held = json.loads(data) if name.endswith("models/model.json") else None
        if held is None:
            return data
        size(held, text)
        return json.dumps(held).encode()

    path = repack(program, tmp_path / "m.pt2", change, {})
    with pytest.raises(InputError, match="which torch would run as code"):
        load(path)
    assert not (tmp_path / "sprung").exists()
    with suppress(InputError):
        load(path, allow_pickle=True)
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[1]", "{}", '{"graph_module": 3}', "\x00"])
def test_absurd_json_is_one_sentence(tmp_path: Path, program: Path, text: str) -> None:
    def change(name: str, data: bytes) -> bytes:
        return text.encode() if name.endswith("models/model.json") else data

    with pytest.raises(InputError, match=r"model.exported: .*m.pt2"):
        load(repack(program, tmp_path / "m.pt2", change, {}))


# -- what is fine --------------------------------------------------------------------------------------------------


def test_texts_of_the_author_and_guards_are_left_out_and_nothing_else_changes(tmp_path: Path, program: Path) -> None:
    def change(name: str, data: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return data
        return json.dumps(json.loads(data) | {"guards_code": ["1/0"]}).encode()

    path = repack(program, tmp_path / "m.pt2", change, {"m/extra/note.txt": b"trained in May"})
    module = load(path)
    assert torch.equal(module(images()), small()(images()))
    assert weights_digest(module) == weights_digest(load(program))


class Many(torch.nn.Module):
    """What networks of the field have: sizes that are computed, attention, einsum, several outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 3, 2)
        self.attend = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, images: torch.Tensor) -> dict[str, Any]:
        with torch.no_grad():
            mean = images.mean()
        found = torch.nn.functional.interpolate(self.first(images - mean), scale_factor=2, mode="bilinear")
        found = found.flatten(2).transpose(1, 2)
        found, _ = self.attend(found, found, found)
        return {"out": torch.einsum("bij,bkj->bik", found, found).mean((1, 2)), "aux": [found]}


def test_networks_of_the_field_need_no_flag(tmp_path: Path) -> None:
    network = Many().eval()
    dim = torch.export.Dim
    free = ({0: dim("batch"), 2: dim("height", min=9), 3: dim("width", min=9)},)
    torch.export.save(torch.export.export(network, (torch.rand(2, 1, 9, 11),), dynamic_shapes=free), tmp_path / "n.pt2")
    module, batch = load(tmp_path / "n.pt2"), torch.rand(3, 1, 15, 13)
    torch.testing.assert_close(module(batch)["out"], network(batch)["out"])
