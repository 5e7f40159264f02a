"""What the folder of a Hugging Face model says about the parts of a first plan besides its own name."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from palpate.audit.plan.toml_words import CHECK, FILL_IN, plain, texts
from palpate.audit.starter.columns import IN_A_TABLE, cells_of
from palpate.data.cases import listed
from palpate.data.inspect.folder import FoundClasses
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.prompts import FoundPrompt, find_prompt
from palpate.models.huggingface import HuggingFaceFacts

KINDS: dict[str, tuple[str, ...]] = {
    "classification": ("classification", "multilabel"),
    "segmentation": ("segmentation",),
    "detection": ("detection",),
    "promptable": ("segmentation",),
    "zero-shot": ("classification", "multilabel"),
}
"""The kinds of audits that each kind of model is for, the likelier one first."""

RESAMPLED = "resample = true  # logits are brought back from the network's grid to that of the masks\n"
_NAMES = ("classes", "findings", "structures")


def in_order_of(facts: HuggingFaceFacts, layout: FoundClasses | FoundAnnotations) -> FoundClasses | FoundAnnotations:
    """The layout with its names in the order of the model's outputs, where the folder names the same ones."""
    known = _apart(facts.classes)
    if isinstance(layout, FoundClasses):
        if sorted(known) != sorted(layout.classes):
            return layout
        counts = dict(zip(layout.classes, layout.counts, strict=True))
        return replace(layout, classes=known, counts=tuple(counts[name] for name in known))
    if layout.kind == "masks":
        # Structures have no names in masks, only values; the network's output 0 is the background.
        alone = len(layout.values) == 1 and len(known) == 2
        same = layout.exclusive and (alone or layout.values == tuple(range(1, len(known))))
        return replace(layout, names=known[1:]) if same and not _unnamed(known) else layout
    # A detector may know more classes than these images show.
    more = layout.kind == "boxes" and set(layout.names) < set(known)
    return replace(layout, names=known) if more or sorted(known) == sorted(layout.names) else layout


def asked_by(facts: HuggingFaceFacts, task: str, kind: str) -> str:
    """`[task]` with what the model asks of it; `kind` is that of the annotations."""
    lines = [_head(facts, _counted(facts, line, kind)) for line in task.splitlines()]
    if kind == "boxes" and facts.kind == "detection":
        lines.append("suppression = 1.0  # it is trained to need none")
    return "\n".join(lines) + "\n" + (RESAMPLED if kind == "masks" else "")


def _head(facts: HuggingFaceFacts, line: str) -> str:
    if facts.kind != "detection" or not line.startswith('head = "sigmoid"'):
        return line
    if facts.softmax:
        return 'head = "softmax"  # its last class is "no object"'
    return 'head = "sigmoid"  # one logit per class'


def _counted(facts: HuggingFaceFacts, line: str, kind: str) -> str:
    """A line of names, which asks the user if the model has another number of outputs than there are names."""
    if line.partition(" = ")[0] not in _NAMES:
        return line
    said, names = line.partition("  # ")[0], facts.classes
    count = _names_in(said)
    if facts.kind == "promptable":
        one = "it draws one map for a prompt: name one structure, and keep only its value in data.values"
        return line if count == 1 else f"{said}  # {FILL_IN}: {one}"
    outputs = len(names) - (kind == "masks" and count == len(names) - 1)
    if not names or outputs == count:
        return line
    own = f" ({plain(listed(names, 8))})" if not _unnamed(names) else ""
    return f"{said}  # {FILL_IN}: the model has {len(names)} outputs{own}, so name as many, in its order"


def _names_in(line: str) -> int:
    return len(next(iter(tomllib.loads(line).values())))


def texts_lines(facts: HuggingFaceFacts | None, layout: FoundClasses | FoundAnnotations) -> list[str]:
    """The texts of the classes, for a model that compares images with texts: their names."""
    if facts is None or facts.kind != "zero-shot":
        return []
    names = layout.classes if isinstance(layout, FoundClasses) else layout.names
    shown = texts([name.replace("_", " ") for name in names])
    such = 'such as "a chest X-ray of pneumonia"'
    if isinstance(layout, FoundClasses) and layout.numbered:
        return [f"texts = {shown}  # {FILL_IN}: what an image of each class shows, {such}"]
    return [f"texts = {shown}  # {CHECK}: one text per class, in their order; the figures depend on the words, {such}"]


def prompt_lines(facts: HuggingFaceFacts | None, layout: FoundClasses | FoundAnnotations) -> list[str]:
    """`[model.inputs]` of a model that segments what a prompt names: columns of the table of the images."""
    if facts is None or facts.kind != "promptable":
        return []
    sheet = cells_of(layout)
    if sheet is None:
        masks = "; put its masks there too, in a column mask" if isinstance(layout, FoundAnnotations) else ""
        return ["", f"[model.inputs]  # {FILL_IN}: {_BOX}; {IN_A_TABLE}{masks}"]
    found = find_prompt(sheet, layout.form.shape)
    if found.columns and not found.doubt:
        what = "left, top, right, bottom" if found.box else "x and y of each point"
        word = "box" if found.box else "points"
        named = f"{word} = {{{word} = {texts(found.columns)}}}"
        return [
            "",
            "[model.inputs]",
            f"{named}  # {CHECK}: {what}, in pixels of the stored image",
            *_label_lines(found),
        ]
    why = found.doubt or "the table has no columns of a prompt"
    asked = f'{why}; it needs left, top, right, bottom in pixels, or points = {{points = ["x", "y"]}}'
    return ["", "[model.inputs]", f"{_BOX}  # {FILL_IN}: {asked}"]


def _label_lines(found: FoundPrompt) -> list[str]:
    """What each point marks; nothing if no columns say so, since a point is on the object by default."""
    if not found.labels:
        return []
    asked = f"{FILL_IN}: a cell holds {plain(found.unread)}; write" if found.unread else f"{CHECK}: of each point:"
    return [f"labels = {texts(found.labels)}  # {asked} 1 on the object, 0 beside it"]


_BOX = 'box = {box = ["x1", "y1", "x2", "y2"]}'


def _apart(names: Sequence[str]) -> tuple[str, ...]:
    """Names that differ: some models have the same one for several outputs that mean nothing."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return tuple(found)


def _unnamed(names: Sequence[str]) -> bool:
    """Whether these are the names that transformers gives to classes without names."""
    return all(name == f"LABEL_{number}" for number, name in enumerate(names))
