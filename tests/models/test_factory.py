"""Models from code: what is built is what the code says, and what goes wrong is named with its line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from palpate.errors import InputError
from palpate.models.loading import ModelSource, load_model

CODE = """
import torch
from torch import nn

def build(classes=3, *, width: int = 4):
    return nn.Sequential(nn.Flatten(), nn.Linear(4, width), nn.Linear(width, classes))

class Net(nn.Module):
    pass

def nothing():
    return None

def fails():
    table = {}
    return helper(table)

def helper(table):
    return table["missing"]

number = 3
"""


def code(folder: Path, text: str = CODE, name: str = "model.py") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, factory: str = "model.py:build", **arguments: object) -> nn.Module:
    return load_model(ModelSource(factory=factory, arguments=arguments), folder)


def test_a_function_of_a_file(tmp_path: Path) -> None:
    code(tmp_path, name="deep/model.py")
    module = load(tmp_path, "deep/model.py:build", classes=5, width=2)
    assert module(torch.zeros(1, 4)).shape == (1, 5) and module[1].out_features == 2


def test_a_class_of_a_file(tmp_path: Path) -> None:
    code(tmp_path)
    assert type(load(tmp_path, "model.py:Net")).__name__ == "Net"


def test_a_function_of_an_installed_package(tmp_path: Path) -> None:
    module = load(tmp_path, "torch.nn:Linear", in_features=2, out_features=3)
    assert isinstance(module, nn.Linear) and module.out_features == 3


def test_a_package_beside_the_plan(tmp_path: Path) -> None:
    code(tmp_path, "from .parts import build\n", "grading_net/__init__.py")
    code(tmp_path, CODE, "grading_net/parts.py")
    assert isinstance(load(tmp_path, "grading_net:build"), nn.Sequential)


def test_a_module_of_several_levels(tmp_path: Path) -> None:
    code(tmp_path, "", "grading_kit/__init__.py")
    code(tmp_path, CODE, "grading_kit/parts.py")
    assert isinstance(load(tmp_path, "grading_kit.parts:build"), nn.Sequential)


def test_files_of_one_name_beside_two_factories_are_not_confused(tmp_path: Path) -> None:
    for number in (1, 2):
        code(
            tmp_path / str(number),
            "from blocks import SIZE\nfrom torch import nn\ndef build(): return nn.Linear(1, SIZE)",
        )
        code(tmp_path / str(number), f"SIZE = {number}", "blocks.py")
    assert [load(tmp_path / str(number)).out_features for number in (1, 2)] == [1, 2]


def test_the_import_path_is_left_as_it_was(tmp_path: Path) -> None:
    code(tmp_path)
    before = list(sys.path)
    load(tmp_path)
    with pytest.raises(InputError):
        load(tmp_path, "model.py:fails")
    assert sys.path == before


def test_random_weights_are_the_same_every_time_and_the_random_state_is_kept(tmp_path: Path) -> None:
    code(tmp_path)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = load(tmp_path)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    for a, b in zip(first.parameters(), load(tmp_path).parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    code(tmp_path)
    assert load(tmp_path)[2].out_features == 3
    code(tmp_path, CODE.replace("classes=3", "classes=14"))
    assert load(tmp_path)[2].out_features == 14


BAD = {
    "no colon": ("model.py", r'"model.py" is not of the form "file.py:function"'),
    "no function": ("model.py:", "is not of the form"),
    "no file": ("modle.py:build", r"modle.py does not exist. Did you mean 'model.py'\?"),
    "no folder": ("none/model.py:build", r"none/model.py does not exist. Correct its path"),
    "no such function": ("model.py:biuld", r"there is no function 'biuld'. Did you mean 'build'\?"),
    "no function at all": ("model.py:number", "there is no function 'number'"),
    "no such module": ("no_such_package.net:build", "there is no module 'no_such_package'. Install it"),
    "no module": ("model.py:nothing", "returned NoneType. Return one torch.nn.Module"),
    "an error": ("model.py:fails", r"model.py, line 19, in helper failed with KeyError: 'missing'. Correct the code"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_factories(tmp_path: Path, name: str) -> None:
    code(tmp_path)
    factory, words = BAD[name]
    with pytest.raises(InputError, match=words):
        load(tmp_path, factory)


BAD_CODE = {
    "syntax": ("import torch\ndef build(:\n", r"model.py, line 2 failed with SyntaxError"),
    "at import": (
        "import torch\n\n1 / 0\n",
        r"model.py, line 3 failed with ZeroDivisionError: .* Correct",
    ),
    "missing import": ("import no_such_package\n", "line 1 failed with ModuleNotFoundError: .*no_such_package"),
    "a script": ("import sys\nsys.exit(2)\n", "line 2 failed with SystemExit: 2"),
    "no function": ("_x = 1\n", "there is no function 'build'. Define it there"),
}


@pytest.mark.parametrize("name", BAD_CODE)
def test_bad_code(tmp_path: Path, name: str) -> None:
    text, words = BAD_CODE[name]
    code(tmp_path, text)
    with pytest.raises(InputError, match=words):
        load(tmp_path)


def test_a_module_that_fails_when_imported(tmp_path: Path) -> None:
    code(tmp_path, "raise RuntimeError('no licence')", "failing_net.py")
    with pytest.raises(InputError, match=r"importing failing_net failed with RuntimeError: no licence"):
        load(tmp_path, "failing_net:build")


def test_unknown_and_missing_arguments(tmp_path: Path) -> None:
    code(tmp_path)
    with pytest.raises(InputError, match=r"model.arguments: model.py:build\(.*'clases'. Did you mean 'classes'\?"):
        load(tmp_path, clases=5)
    code(tmp_path, "def build(classes): ...")
    with pytest.raises(InputError, match=r"model.arguments: .*missing a required argument: 'classes'"):
        load(tmp_path)


def test_wrong_values_of_arguments_are_named_with_the_line(tmp_path: Path) -> None:
    code(tmp_path)
    with pytest.raises(InputError, match=r"model.py, line 6, in build failed with TypeError"):
        load(tmp_path, classes="five")


# -- the source as a value


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "nothing says where the model is"),
        ({"factory": "a.py:f", "torchscript": "a.pt"}, "model.torchscript: factory is given already"),
        ({"torchscript": "a.pt", "exported": "a.pt2"}, "exclude each other"),
        ({"torchscript": "a.pt", "weights": "b.pt"}, "model.weights: torchscript brings its own weights"),
        ({"exported": "a.pt", "arguments": {"a": 1}}, "only a factory or a network of timm takes them"),
    ],
)
def test_sources_that_say_too_much_or_too_little(fields: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ModelSource(**fields)  # type: ignore[arg-type]


def test_digest_of_a_source_tells_changes_of_code_arguments_and_weights(tmp_path: Path) -> None:
    code(tmp_path)
    (tmp_path / "w.pt").write_bytes(b"1")

    def digest(arguments: dict[str, object] | None = None) -> str:
        return ModelSource(factory="model.py:build", arguments=arguments or {}, weights="w.pt").digest(tmp_path)

    digests = [digest(), digest({"classes": 5})]
    assert digest() == digests[0]
    (tmp_path / "w.pt").write_bytes(b"2")
    digests.append(digest())
    code(tmp_path, CODE + "\n")
    digests.append(digest())
    assert len(set(digests)) == 4
    (tmp_path / "w.pt").unlink()
    with pytest.raises(InputError, match=r"w.pt cannot be read"):
        digest()
    with pytest.raises(InputError, match=r"model.arguments: .*set is not JSON"):
        ModelSource(factory="torch.nn:Linear", arguments={"a": {1}}).digest(tmp_path)


LEAVES = ["sys.exit()", "exit(1)", "raise SystemExit", "raise GeneratorExit", "raise StopIteration"]
LEAVES += ["raise type('Own', (BaseException,), {})('own')"]


@pytest.mark.parametrize("act", LEAVES)
@pytest.mark.parametrize("inside", [True, False])
def test_a_factory_that_leaves_is_one_sentence(tmp_path: Path, act: str, inside: bool) -> None:
    body = f"def build():\n    {act}\n" if inside else f"{act}\n\ndef build():\n    pass\n"
    code(tmp_path, f"import sys\n{body}")
    with pytest.raises(InputError, match=r"model\.py, line \d.* failed with"):
        load_model(ModelSource(factory="model.py:build"), tmp_path)


def test_a_script_that_switches_the_process_is_put_right(tmp_path: Path) -> None:
    switches = "torch.set_grad_enabled(False)\ntorch.set_default_dtype(torch.float64)\n"
    code(
        tmp_path, f"import os\nimport torch\n{switches}os.chdir('/')\n\ndef build():\n    return torch.nn.Identity()\n"
    )
    before = Path.cwd()
    load_model(ModelSource(factory="model.py:build"), tmp_path)
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32 and Path.cwd() == before
