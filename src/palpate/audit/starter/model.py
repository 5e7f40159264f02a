"""`[model]` of a first plan: the model in the folder, and what its files say about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from palpate.audit.plan.toml_words import CHECK, FILL_IN, key_of, path_of, plain, text_of
from palpate.audit.starter.bundle import bundle_lines, bundle_modality, changes_grid, in_bundle_order
from palpate.audit.starter.huggingface import RESAMPLED, asked_by, in_order_of, prompt_lines, texts_lines
from palpate.audit.starter.inputs import input_lines
from palpate.audit.starter.values import Values, numbers, step_lines
from palpate.data.cases import listed
from palpate.data.inspect.annotated import FoundAnnotations
from palpate.data.inspect.folder import FoundClasses
from palpate.models.huggingface import HuggingFaceFacts, huggingface_facts
from palpate.models.inspect import Candidate, find_models, propose
from palpate.models.source import IN_FACTORY, ModelSource
from palpate.models.stored.fixed import Fixed, fixed_shape

_WHOLE = ("torchscript", "exported", "bundle", "huggingface", "onnx")


@dataclass(frozen=True)
class FoundModel:
    """The models of a folder.

    Attributes:
        folder: where they are.
        candidates: all that may be models or weights.
        source: the one that a first plan names, relative to the folder; None if there is none.
        facts: what its files say about it, for a folder of Hugging Face.
    """

    folder: Path
    candidates: tuple[Candidate, ...] = ()
    source: ModelSource | None = None
    facts: HuggingFaceFacts | None = None

    @property
    def gives_gradients(self) -> bool:
        """Whether gradient attacks can run on it."""
        return self.source is None or self.source.onnx is None


def model_in(folder: Path) -> FoundModel:
    """The model that a first plan for a folder names; raises InputError if its folder of Hugging Face is damaged."""
    candidates = find_models(folder) if folder.is_dir() else ()
    source = propose(candidates)
    named = source.huggingface if source else None
    return FoundModel(folder, candidates, source, huggingface_facts(folder / named) if named else None)


def model_part(found: FoundModel, place: Path, layout: FoundClasses | FoundAnnotations, values: Values) -> str:
    """`[model]` and its tables for the model of a folder; `place` is the plan's own folder."""
    folder, candidates, source = found.folder, found.candidates, found.source
    lines = ["[model]", *_also(candidates, source), *_source(folder, place, candidates, source)]
    lines += texts_lines(found.facts, layout)
    lines.append(f"bounds = {numbers(values.bounds)}{f'  # {values.doubt}' if values.doubt else ''}")
    lines += prompt_lines(found.facts, layout) or input_lines(source, folder, layout)
    lines += ["", "[model.preprocess]  # what happens to stored values before the network, in this order"]
    if source and source.bundle:
        lines += bundle_lines(folder / source.bundle, place, layout)
    else:
        lines += [*step_lines(values), *_preprocess(layout, values, found.facts, _fixed(found))]
    return "\n".join(lines) + "\n"


def named_by(found: FoundModel, layout: FoundClasses | FoundAnnotations) -> FoundClasses | FoundAnnotations:
    """The layout with the names of the model's outputs in their order, where its files say them."""
    if found.facts:
        return in_order_of(found.facts, layout)
    bundle = found.source.bundle if found.source else None
    return in_bundle_order(found.folder / bundle, layout) if bundle else layout


def modality_said(found: FoundModel) -> str:
    """The kind of images that the model's files name; empty if they do not."""
    bundle = found.source.bundle if found.source else None
    return bundle_modality(found.folder / bundle) if bundle else ""


def task_lines(found: FoundModel, task: str, kind: str) -> str:
    """`[task]` with what the model asks of it, besides its own lines; `kind` is that of the annotations."""
    source = found.source
    if found.facts:
        return asked_by(found.facts, task, kind)
    if kind != "masks" or source is None or not source.bundle or not changes_grid(found.folder / source.bundle):
        return task
    return task + RESAMPLED


def _also(candidates: Sequence[Candidate], source: ModelSource | None) -> list[str]:
    return [f"# Also there: {plain(f'{one.name}: {one.words}')}" for one in candidates if one.source != source][:4]


def _source(folder: Path, place: Path, candidates: Sequence[Candidate], source: ModelSource | None) -> list[str]:
    """The lines that name the model."""
    if source is None:
        if whole := [one for one in candidates if one.unread.startswith("a pickle")]:
            return [f"weights = {path_of(folder / whole[0].name, place)}  # {_unread(whole[0])}"]
        asked = f"{FILL_IN}: file and function that returns the torch.nn.Module, weights included or named below"
        nothing = Candidate(None, "", "")
        return [f'factory = "model.py:build"  # {asked}', _weights(folder, place, candidates, nothing)]
    for name in _WHOLE:
        if file := getattr(source, name):
            said = [f"{name} = {path_of(folder / file, place)}  # {_doubt(candidates, name)}"]
            gradients = "# onnx_gradients = true  # for attacks with gradients, such as pgd; it needs onnx2torch"
            return [*said, gradients] if name == "onnx" else said
    assert source.factory is not None
    file, _, function = source.factory.rpartition(":")
    named = text_of(f"{json.loads(path_of(folder / file, place))}:{function}")
    lines = [f"factory = {named}  # {CHECK}: the function or class that makes the network; this code is run"]
    chosen = next(one for one in candidates if one.source is not None and one.source.factory == source.factory)
    lines.append(_weights(folder, place, candidates, chosen))
    if chosen.required:
        given = ", ".join(f"{key_of(name)} = 0" for name in chosen.required)
        lines.append(f"arguments = {{{given}}}  # {FILL_IN}: what the factory needs")
    return lines


def _doubt(candidates: Sequence[Candidate], kind: str) -> str:
    """The remark about a model that is one file or folder."""
    names = [one.name for one in candidates if one.source is not None and getattr(one.source, kind)]
    if len(names) > 1:
        return f"{FILL_IN}: which one? There are {plain(_few(names))}"
    return f"{CHECK}: a program, which may do more than compute" if kind in ("torchscript", "exported") else CHECK


def _weights(folder: Path, place: Path, candidates: Sequence[Candidate], chosen: Candidate) -> str:
    """The line of a factory's weights. The user is asked about unused files of weights: else weights may be random."""
    held = [one for one in candidates if one.weights or one.unread]
    if not held:
        return '# weights = "weights.safetensors"  # if the factory does not load them'
    own = [one.name for one in held if Path(one.name).name in chosen.loaded]
    if own:
        return f'weights = "{IN_FACTORY}"  # {CHECK}: {plain(chosen.name)} loads {plain(_few(own))} itself'
    first = next((one for one in held if one.weights), held[0])
    line = f"weights = {path_of(folder / first.name, place)}  # "
    if len(held) > 1:
        names = plain(_few([one.name for one in held]))
        return f'{line}{FILL_IN}: which of {names}, or "{IN_FACTORY}" if the factory loads them itself'
    return line + (CHECK if first.weights else _unread(first))


def _unread(one: Candidate) -> str:
    flag = one.unread.startswith("a pickle")
    fix = "if you trust it, audit with --allow-pickle; or save only its state_dict" if flag else "name another file"
    return f'{FILL_IN}: {plain(one.unread)}; {fix}; or "{IN_FACTORY}" if the factory loads the weights itself'


def _few(names: Sequence[str]) -> str:
    return listed(names, 5)


def _fixed(found: FoundModel) -> Fixed:
    """What the file of a model fixes of its images."""
    source = found.source
    file = source and (source.onnx or source.exported or source.torchscript)
    return fixed_shape(found.folder / file) if file else Fixed()


def _size_of(fixed: Fixed, layout: FoundClasses | FoundAnnotations) -> tuple[int, ...] | None:
    """The sides that the model's file fixes, if the images have others."""
    sides = tuple(layout.form.shape[1:])
    if fixed.size is None or len(fixed.size) != len(sides) or (layout.equal and fixed.size == sides):
        return None
    return fixed.size


def _preprocess(
    layout: FoundClasses | FoundAnnotations, values: Values, facts: HuggingFaceFacts | None, fixed: Fixed
) -> list[str]:
    """Size, channels, mean and std: those of the model's image processor if it has one, or of its file."""
    lines, channels = [], layout.form.shape[0]
    if size := _size_of(fixed, layout):
        lines.append(f"size = {list(size)}  # {CHECK}: the size that the file was made for")
    elif facts and facts.size:
        lines.append(f"size = {list(facts.size)}  # {CHECK}: {_SIZES.get(facts.kind, _SIZED)}")
    else:
        lines.append("# size = [224, 224]  # height and width that the network expects, if it is not the stored size")
    if channels == 1:
        expects = facts.channels if facts and facts.channels else 3
        said = f"channels = {expects}  # if the network expects RGB: the images are grey"
        lines.append(said if 3 in (facts and facts.channels, fixed.channels) else f"# {said}")
    elif channels == 3:
        said = "channels = 1  # if the network expects grey: the images are RGB"
        lines.append(said if 1 in (facts and facts.channels, fixed.channels) else f"# {said}")
    if facts and facts.mean and facts.std:
        lines.append(f"mean = {_rounded(facts.stored_mean)}  # {CHECK}: its image processor's, in stored values")
        lines.append(f"std = {_rounded(facts.stored_std)}  # {CHECK}")
        return lines
    each = f"one number, or {channels}" if channels > 1 else "one number"
    low, high = values.used or values.bounds
    mean, std = numbers([low]), numbers([high - low])
    said = f"the mean of your training's normalisation, in {values.unit or 'stored values'} ({each})"
    maps = f"{std} alone maps" if low == 0 else f"{mean} and {std} map"
    ends = "" if values.used is None else f"{low:.7g} to {high:.7g} "
    lines.append(f"mean = {mean}  # {CHECK}: {said}")
    lines.append(f"std = {std}  # {CHECK}: its standard deviation; {maps} {ends}to 0..1")
    return lines


_SIZED = "height and width of its image processor"
_SIZES = {
    "promptable": "both sides are resized, as MedSAM does; SAM's own processor keeps the shape and pads",
    "zero-shot": "height and width of its image processor, which crops the centre if an image is no square",
}


def _rounded(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.7g}' for value in values)}]"
