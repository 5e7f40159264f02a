"""Find the models in a folder, so that `palpate init` can propose one. None of their code is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from palpate.data.formats.registry import SUFFIXES
from palpate.data.image_files import is_searched
from palpate.errors import InputError
from palpate.models.bundle import is_bundle
from palpate.models.huggingface import is_huggingface
from palpate.models.source import ModelSource
from palpate.models.stored.files import ModelFile, identify

_SUFFIXES = (".safetensors", ".pt", ".pth", ".pt2", ".ts", ".torchscript", ".ckpt", ".bin", ".jit", ".onnx")
_LIBRARIES = ("torch", "monai", "timm", "torchvision", "segmentation_models_pytorch")
_MAKER = re.compile(r"^((build|make|create|get|load|define)_)?(\w+_)?(model|net|network|classifier)$|^(build|create)$")
_SKIPPED = ("site-packages", "node_modules", "tests", "build", "dist")
_OTHERS = (".pkl", ".pickle", ".h5", ".hdf5", ".keras", ".pdparams", ".weights", ".npz", ".joblib", ".tar", ".msgpack")
"""Suffixes of weights of other libraries, and of many other files: the name must show that they are weights."""
_NEVER = (*SUFFIXES, ".csv", ".tsv", ".json", ".txt", ".py", ".md", ".toml", ".yaml", ".yml", ".xml", ".xlsx", ".zip")
"""Suffixes of images, tables and texts: such files are not opened in search of a model."""
_TELLING = re.compile(r"model|weight|net|ckpt|checkpoint|best|last|final|epoch|fold", re.IGNORECASE)
_DEEPEST = 3
_LARGEST_CODE = 1_000_000


@dataclass(frozen=True)
class Candidate:
    """A file or folder that may be the model, or its weights.

    Attributes:
        source: how a plan would name it, relative to the folder; None if it cannot be used as it is.
        name: the file, relative to the folder.
        words: what it is, in words.
        required: arguments of a factory without default.
        weights: whether it has weights that are read without a flag, and so needs a factory.
        unread: why a file that looks like weights is not read; empty for any other.
        loaded: names of the files that the code of a factory loads.
        rank: among factories, the lower the likelier: functions, then classes that no other class uses.
    """

    source: ModelSource | None
    name: str
    words: str
    required: tuple[str, ...] = ()
    weights: bool = False
    unread: str = ""
    loaded: tuple[str, ...] = ()
    rank: int = 0


def find_models(folder: Path) -> tuple[Candidate, ...]:
    """Files of models and functions that look like factories, up to three levels below a folder, the most usable first.

    Python files are parsed, never run; model files are recognised by their bytes. Of a pickle only tensors are read,
    as in `read_weights` without a flag.
    """
    whole = [found for path in _folders(folder, _DEEPEST) if (found := _folder(folder, path))]
    owned = [folder / str(found.source.bundle or found.source.huggingface) for found in whole if found.source]
    everything = list(_files(folder, _DEEPEST)) if folder.is_dir() else []
    files = [path for path in everything if not any(path.is_relative_to(other) for other in owned)]
    stored = [_stored(folder, path) for path in files if _may_be_model(path)]
    code = [found for path in files if path.suffix == ".py" for found in _factories(folder, path)]
    known = [candidate for candidate in stored if candidate is not None]
    return tuple(sorted((*whole, *known, *code), key=_readiness))


def propose(candidates: Iterable[Candidate]) -> ModelSource | None:
    """The source that a first plan names, or None: a whole model, or the first factory with the first weights.

    An ONNX file, which gives no gradient, is named only if there is nothing else.
    """
    found = list(candidates)
    whole = next((c.source for c in found if c.source and not c.source.factory and not c.source.onnx), None)
    if whole:
        return whole
    factory = next((c.source for c in found if c.source and c.source.factory), None)
    weights = next((c.name for c in found if c.weights), None)
    if factory is None:
        return next((c.source for c in found if c.source), None)
    if weights is None:
        return factory
    return replace(factory, weights=weights)


def _readiness(candidate: Candidate) -> tuple[int, int, int, str]:
    source = candidate.source
    kinds = ("exported", "torchscript", "bundle", "huggingface", "factory", "onnx")
    order = next((place for place, kind in enumerate(kinds) if source and getattr(source, kind)), len(kinds))
    return order, len(candidate.required), candidate.rank, candidate.name


def _folders(folder: Path, depth: int) -> Iterable[Path]:
    """The folder itself and those below it."""
    if not folder.is_dir():
        return
    yield folder
    for path in sorted(folder.iterdir()) if depth else []:
        if path.is_dir() and path.name not in _SKIPPED and is_searched(path):
            yield from _folders(path, depth - 1)


def _folder(folder: Path, path: Path) -> Candidate | None:
    """A model that is a whole folder."""
    name = path.relative_to(folder).as_posix()
    if is_bundle(path):
        return Candidate(ModelSource(bundle=name), name, "a MONAI bundle")
    if is_huggingface(path):
        return Candidate(ModelSource(huggingface=name), name, "a model of Hugging Face")
    return None


def _files(folder: Path, depth: int) -> Iterable[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _SKIPPED:
            continue
        if path.is_file():
            yield path
        elif depth and path.is_dir() and is_searched(path):
            yield from _files(path, depth - 1)


# -- files of models -----------------------------------------------------------------------------------------------


def _stored(folder: Path, path: Path) -> Candidate | None:
    name = path.relative_to(folder).as_posix()
    if path.suffix.lower() == ".onnx":
        return Candidate(ModelSource(onnx=name), name, "ONNX, a black box")
    try:
        file = identify(path)
    except InputError:
        return None
    if file.kind == "exported":
        return Candidate(ModelSource(exported=name), name, "an exported program")
    if file.kind == "torchscript":
        return Candidate(ModelSource(torchscript=name), name, "TorchScript")
    return _weights(file, name)


def _weights(file: ModelFile, name: str) -> Candidate:
    if file.kind == "unknown":
        why = "it is damaged, or of another library"
        return Candidate(None, name, f"weights that cannot be read: {why}", unread=why)
    if file.kind == "pickle" and not _is_checkpoint(file.path):
        why = f"a pickle that imports {', '.join(file.imports[:3])}: it can run code when it is loaded"
        return Candidate(None, name, f"{why}, and needs an explicit flag", unread=why)
    kind = "safetensors" if file.kind == "safetensors" else "a torch file of tensors"
    return Candidate(None, name, f"weights ({kind}), for a factory", weights=True)


def _may_be_model(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if not suffixes or suffixes[-1] in _NEVER:
        return False
    if suffixes[-1] not in (*_SUFFIXES, *_OTHERS):
        return _holds_a_program(path)
    # `checkpoint.pth.tar` is what many training scripts write; it is not a tar archive.
    return not set(suffixes).isdisjoint(_SUFFIXES) or _TELLING.search(path.name) is not None or _holds_tensors(path)


def _holds_tensors(path: Path) -> bool:
    """Whether the bytes of a file are those of torch or safetensors, for any name."""
    try:
        return identify(path).kind in ("weights", "safetensors")
    except InputError:
        return False


def _holds_a_program(path: Path) -> bool:
    """Whether the bytes of a file are those of TorchScript or an exported program, for any name."""
    try:
        return identify(path).kind in ("torchscript", "exported")
    except InputError:
        return False


def _is_checkpoint(path: Path) -> bool:
    """Whether tensors can be read from a pickle without loading anything else in it."""
    from palpate.models.stored.states import holds_weights

    return holds_weights(path)


# -- code ----------------------------------------------------------------------------------------------------------


def _factories(folder: Path, path: Path) -> Iterable[Candidate]:
    try:
        if path.stat().st_size > _LARGEST_CODE:
            return
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    if not _imports_a_library(tree):
        return
    name = path.relative_to(folder).as_posix()
    loaded = _loaded(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and _looks_like_maker(node):
            kind, required = "function", _required(node.args, skipped=0)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_") and _is_module(node):
            kind, required = "class", _required(_initial(node), skipped=1)
        else:
            continue
        asks = f" that needs {', '.join(required)}" if required else ""
        source = ModelSource(factory=f"{name}:{node.name}")
        rank = 0 if kind == "function" else 1 + _is_part(node.name, tree)
        yield Candidate(source, name, f"a {kind}{asks}, line {node.lineno}", required, loaded=loaded, rank=rank)


def _is_part(name: str, tree: ast.Module) -> bool:
    """Whether another class of the file uses this one, or inherits from it."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != name]
    return any(isinstance(inner, ast.Name) and inner.id == name for node in classes for inner in ast.walk(node))


def _loaded(tree: ast.Module) -> tuple[str, ...]:
    """Names of files, without folders, in any call of a loader: `torch.load(here / "best.pt")`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and "load" in ast.unparse(node.func).rpartition(".")[2]:
            texts = [inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant)]
            found += [Path(text).name for text in texts if isinstance(text, str) and Path(text).suffix]
    return tuple(dict.fromkeys(found))


def _imports_a_library(tree: ast.Module) -> bool:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return any(name.split(".")[0] in _LIBRARIES for name in names)


def _looks_like_maker(node: ast.FunctionDef) -> bool:
    returned = ast.unparse(node.returns) if node.returns else ""
    return returned.split(".")[-1] == "Module" or _MAKER.match(node.name) is not None


def _is_module(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split(".")[-1] == "Module" for base in node.bases)


def _initial(node: ast.ClassDef) -> ast.arguments | None:
    return next((f.args for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)


def _required(arguments: ast.arguments | None, skipped: int) -> tuple[str, ...]:
    if arguments is None:
        return ()
    positional = [*arguments.posonlyargs, *arguments.args]
    plain = positional[: len(positional) - len(arguments.defaults)][skipped:]
    named = [a for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    return tuple(argument.arg for argument in (*plain, *named))
