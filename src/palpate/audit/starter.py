"""A first plan from a look at a folder. Model code is never run; what cannot be seen is left marked for the user."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from palpate.audit.plan import parse_plan
from palpate.data.forms import bit_range
from palpate.data.inspect import Layout, find_tables
from palpate.errors import InputError
from palpate.models.inspect import find_models, propose

FILL_IN = "FILL IN"
"""Marks a line that the folder says nothing about."""
CHECK = "CHECK"
"""Marks a line that is a guess."""

_HEALTHY = re.compile(r"(?i:normal|healthy|negative|benign|control|^no[ _-])|^[Nn]on(?=[A-Z _-])")
_GRADED = re.compile(r"grade|level|stage|diagnosis|severity|score", re.IGNORECASE)


def starting_plan(folder: Path, place: Path) -> str:
    """A commented plan in TOML for the labelled images, and the model, that lie in a folder.

    It is a plan that palpate reads. Lines marked `CHECK` are guesses; lines marked `FILL IN` wait for the user.

    Args:
        folder: where images and model lie; read, never written to.
        place: the plan's own folder, which its paths are relative to.

    Raises:
        InputError: there is no folder, or no labelled images that palpate knows in it.
    """
    layouts = find_tables(folder)
    layout = layouts[0]
    disease = _disease(layout.classes)
    parts = [
        _head(folder, layouts),
        _model(folder, place, layout),
        _data(place, layout),
        _task(layout, disease),
        _THREAT,
        _attacks(bool(disease)),
        _GATES,
    ]
    text = "\n".join(parts)
    parse_plan(text, place / "plan.toml")
    return text


def unfinished(text: str) -> list[tuple[int, str]]:
    """The lines of a plan that wait for the user: number from 1, and what is asked."""
    found = ((number, line.partition(f"# {FILL_IN}: ")[2]) for number, line in enumerate(text.splitlines(), 1))
    return [(number, asked) for number, asked in found if asked]


def _head(folder: Path, layouts: Sequence[Layout]) -> str:
    also = "".join(f"# Also there: {_line(other.words())}\n" for other in layouts[1:4])
    return (
        f"# A plan for `palpate audit`. Lines marked {CHECK} are guesses, lines marked {FILL_IN} wait for you.\n"
        f"# Found: {_line(layouts[0].words())}\n{also}\n"
        f"title = {_text(f'Robustness audit: {folder.resolve().name}')}\n"
        "seed = 0\n"
    )


def _model(folder: Path, place: Path, layout: Layout) -> str:
    channels = layout.form.shape[0]
    lines = ["[model]", *_source(folder, place)]
    try:
        low, high = bit_range(layout.form.dtype)
        doubt = f"  # {CHECK}: the range of {layout.form.dtype}; 12-bit values in it end at 4095"
        lines.append(f"bounds = [{low}, {high}]{'' if layout.form.dtype == 'uint8' else doubt}")
    except InputError:
        high = 1
        lines.append(f"bounds = [0, 1]  # {FILL_IN}: lowest and highest value that an image can store")
    lines += ["", "[model.preprocess]  # what happens to stored values before the network, in this order"]
    lines.append("# size = [224, 224]  # height and width that the network expects, where it is not the stored size")
    if channels == 1:
        lines.append("# channels = 3  # where the network expects RGB: the images are grey")
    each = f"one number, or {channels}" if channels > 1 else "one number"
    lines.append(f"mean = [0]  # {FILL_IN}: the mean of your training's normalisation, in stored values ({each})")
    lines.append(f"std = [{high}]  # {FILL_IN}: its standard deviation; [{high}] alone maps to 0..1")
    return "\n".join(lines) + "\n"


def _source(folder: Path, place: Path) -> list[str]:
    """The lines that name the model, and what else lies there."""
    candidates = find_models(folder) if folder.is_dir() else ()
    source = propose(candidates)
    also = [f"# Also there: {_line(f'{one.name}: {one.words}')}" for one in candidates if one.source != source][:4]
    if source is None:
        asked = f"{FILL_IN}: file and function that returns the torch.nn.Module, weights included or named below"
        return [*also, f'factory = "model.py:build"  # {asked}', '# weights = "weights.safetensors"']
    for name in ("torchscript", "exported"):
        if file := getattr(source, name):
            return [*also, f"{name} = {_path(folder / file, place)}  # {CHECK}"]
    assert source.factory is not None
    file, _, function = source.factory.rpartition(":")
    named = _text(f"{json.loads(_path(folder / file, place))}:{function}")
    lines = [*also, f"factory = {named}  # {CHECK}: the function or class that makes the network"]
    if source.weights:
        lines.append(f"weights = {_path(folder / source.weights, place)}  # {CHECK}")
    else:
        lines.append('# weights = "weights.safetensors"  # where the factory does not load them')
    chosen = next(one for one in candidates if one.source is not None and one.source.factory == source.factory)
    if chosen.required:
        given = ", ".join(f"{_key(name)} = 0" for name in chosen.required)
        lines.append(f"arguments = {{{given}}}  # {FILL_IN}: what the factory needs")
    return lines


def _data(place: Path, layout: Layout) -> str:
    lines = ["[data]"]
    if layout.kind == "csv":
        lines += [f"table = {_path(layout.path, place)}"]
        if layout.images is not None and layout.images != layout.path.parent:
            lines.append(f"images = {_path(layout.images, place)}")
        lines += [f"file = {_text(layout.file or '')}", f"label = {_text(layout.label or '')}"]
        if layout.group:
            lines.append(f"group = {_text(layout.group)}  # images of one patient belong together")
        else:
            lines.append('# group = "patient"  # column of the patient, where one has several images')
        if layout.split and layout.splits:
            lines.append(f"where = {{{_key(layout.split)} = {_text(layout.splits[0][0])}}}{_others(layout)}")
    elif layout.kind == "folders":
        lines.append(f"folders = {_path(layout.path, place)}")
    else:
        lines += [f"medmnist = {_path(layout.path, place)}", f"split = {_text(layout.splits[0][0])}{_others(layout)}"]
    if not layout.equal:
        lines.append(
            f"# {FILL_IN}: the images differ in size or depth; convert them to one, then name that folder here"
        )
    lines.append("# limit = 100  # audit at most so many images, every class in proportion")
    return "\n".join(lines) + "\n"


def _others(layout: Layout) -> str:
    return "  # " + ", ".join(f"{_line(name)}: {count} images" for name, count in layout.splits)


def _task(layout: Layout, disease: tuple[str, ...]) -> str:
    count = len(layout.classes)
    graded = layout.numbered and count > 2 and bool(_GRADED.search(layout.label or ""))
    kind = "binary" if count == 2 else "ordinal" if graded else "multiclass"
    order = "their names, in this order" if layout.numbered else "the order must be that of the model's outputs"
    lines = ["[task]"]
    lines.append(f'kind = "{kind}"' + ("" if count == 2 else f"  # {CHECK}: multiclass, or ordinal for grades"))
    lines.append(f"classes = {_texts(layout.classes)}  # {CHECK}: {order}")
    if disease:
        lines.append(f"disease = {_texts(disease)}  # {CHECK}: the classes that count as disease")
    else:
        lines.append(f"# disease = {_texts(layout.classes[1:])}  # {FILL_IN}: the classes that count as disease")
    others = ', or "cumulative" for K - 1 thresholds' if graded else ', or "one-logit"' if count == 2 else ""
    lines.append(f'head = "softmax"  # one logit per class{others}')
    return "\n".join(lines) + "\n"


def _disease(classes: Sequence[str]) -> tuple[str, ...]:
    """Classes that by their names are no healthy ones; none where no name says so."""
    if list(classes) == ["0", "1"]:
        return ("1",)
    healthy = [name for name in classes if _HEALTHY.search(name)]
    return tuple(name for name in classes if name not in healthy) if healthy else ()


_THREAT = f"""[threat]
norm = "linf"  # every stored value may change by at most eps
eps = ["0.5/255", "1/255", "2/255", "4/255"]  # {CHECK}: fractions of the range; plain numbers are stored values
"""

_GATES = """# A limit that the model must keep; `palpate audit` ends with status 1 where it does not.
# [[gates]]
# metric = "robust_accuracy"
# eps = "1/255"
# at_least = 0.5
"""


def _attacks(clinical: bool) -> str:
    text = "# `palpate list attacks` shows all of them, `palpate list attacks smia` the parameters of one.\n"
    for name, steps in (("noise", None), ("fgsm", None), ("pgd", 40), ("apgd-margin", 40), ("smia", 20)):
        text += f'[[attacks]]\nattack = "{name}"\n' + (f"steps = {steps}\n" if steps else "") + "\n"
    for goal in ("hide disease", "invent disease"):
        table = f'[[attacks]]\nattack = "smia"\nname = "smia: {goal}"\ngoal = "{goal}"\nsteps = 20\n'
        text += (table if clinical else "".join(f"# {line}\n" for line in table.splitlines())) + "\n"
    return text.rstrip("\n") + "\n"


def _path(path: Path, place: Path) -> str:
    try:
        return _text(Path(os.path.relpath(path.resolve(), place.resolve())).as_posix())
    except ValueError:  # another drive
        return _text(path.resolve().as_posix())


def _text(value: str) -> str:
    # JSON's escapes are TOML's, but for one control character that TOML wants escaped and JSON leaves.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _texts(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _line(text: str) -> str:
    """Text of a file name or a cell, safe inside a comment."""
    return re.sub(r"[^\x20-\x7e\xa0-\uffff]", " ", text)
