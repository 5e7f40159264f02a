"""A first plan from the contents of a folder. Model code is never run; unknown values are marked for the user."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from palpate.audit.plan.lines import marked
from palpate.audit.plan.plan import parse_plan
from palpate.audit.plan.toml_words import CHECK, FILL_IN, key_of, path_of, plain, text_of, texts
from palpate.audit.starter.annotated import annotated_parts
from palpate.audit.starter.artefacts import artefact_part, modality_in, modality_lines, proposed
from palpate.audit.starter.attacks import attack_part, black_box_part
from palpate.audit.starter.huggingface import KINDS
from palpate.audit.starter.model import FoundModel, modality_said, model_in, model_part, named_by, task_lines
from palpate.audit.starter.nnunet import Deployed, images_in, modality_named, nnunet_in, nnunet_model, nnunet_task
from palpate.audit.starter.roots import with_roots
from palpate.audit.starter.values import Values, nan_lines, origin_lines, threat_part, turned_lines, values_in
from palpate.data.inspect.annotated import FoundAnnotations, find_annotated
from palpate.data.inspect.columns import split_rank
from palpate.data.inspect.described import find_described
from palpate.data.inspect.folder import FoundClasses, find_tables
from palpate.data.inspect.seen import UnreadError, broken, reasons
from palpate.errors import InputError

_HEALTHY = re.compile(
    r"(?i:(?<!ab)normal|(?<!un)healthy|negative|benign|control|uninfected|^no[ _-]|^no$|^without)|^[Nn]on(?=[A-Z _-])"
)
_OF_ARCHIVES: dict[str, tuple[str, ...]] = {
    "pneumoniamnist": ("1",),
    "breastmnist": ("0",),
    "nodulemnist3d": ("1",),
    "adrenalmnist3d": ("1",),
    "vesselmnist3d": ("1",),
}
"""The class that counts as disease in MedMNIST archives with two classes."""
_GRADED = re.compile(r"grade|level|stage|diagnosis|severity|score", re.IGNORECASE)


def starting_plan(folder: Path, place: Path, kind: str | None = None) -> str:
    """A commented plan in TOML for the labelled images and the model in a folder.

    palpate can read this plan. Lines marked `CHECK` are guesses; lines marked `FILL IN` need a value from the user.

    Args:
        folder: folder of the images and the model; it is only read.
        place: the plan's own folder, which its paths are relative to.
        kind: `classification`, `multilabel`, `segmentation` or `detection`; by default masks and boxes come before
            classes, and classes before findings.

    Raises:
        InputError: the folder does not exist, or holds no labelled images that palpate can read.
    """
    refused: list[UnreadError] = []
    deployed = nnunet_in(folder) if kind in (None, "segmentation") else None
    found = FoundModel(folder) if deployed else model_in(folder)
    kinds = (kind,) if kind else KINDS[found.facts.kind] if found.facts else ()
    layout, others = (deployed.layout, []) if deployed else _found(images_in(folder), kinds, refused, strict=bool(kind))
    layout = named_by(found, layout)
    if isinstance(layout, FoundAnnotations):
        data, task, attacks = annotated_parts(place, layout)
    else:
        disease = _disease(layout)
        data, task, attacks = _data(place, layout), _task(layout, disease), _attacks(layout, disease)
    data = with_roots(data, place, layout.table(), layout.path, _named(layout))
    values = values_in(layout)
    modality, told = _modality(layout, values, deployed, found)
    data += "".join(f"{line}\n" for line in (*nan_lines(values), *told))
    artefacts = proposed(layout, values, modality)
    if deployed:
        model, task = nnunet_model(place, deployed, values), nnunet_task(deployed)
    else:
        model = model_part(found, place, layout, values)
        task = task_lines(found, task, "classes" if isinstance(layout, FoundClasses) else layout.kind)
        attacks = attacks if found.gives_gradients else black_box_part()
    head = _head(folder, layout, others, [str(error) for error in broken(refused)])
    gates = _GATES.format(eps=values.eps[:2][-1], artefact=artefacts[0])
    shown = artefact_part(artefacts, modality, layout.form.shape[0])
    text = "\n".join([head, model, data, task, threat_part(values), attacks, shown, gates])
    parse_plan(text, place / "plan.toml")
    return text


def _modality(
    layout: FoundClasses | FoundAnnotations, values: Values, deployed: Deployed | None, found: FoundModel
) -> tuple[str, list[str]]:
    """What kind of images these are, and the lines of `[data]` about it."""
    modality = modality_in(layout, values)
    named = "" if modality else modality_named(deployed) if deployed else modality_said(found)
    if not named:
        return modality, modality_lines(modality, layout)
    by = "by the names of its channels" if deployed else "by the bundle's metadata"
    return named, [f'modality = "{named}"  # {CHECK}: {by}']


def _named(layout: FoundClasses | FoundAnnotations) -> tuple[Path, ...]:
    """Files that `[data]` names besides its layout, the images and their annotations."""
    return (layout.folds,) if isinstance(layout, FoundAnnotations) and layout.folds else ()


def _found(
    folder: Path, kinds: Sequence[str], unread: list[UnreadError], *, strict: bool
) -> tuple[FoundClasses | FoundAnnotations, list[FoundClasses | FoundAnnotations]]:
    """The first layout of these kinds, and the others: masks and boxes before classes and findings.

    Without any of these kinds it is an error if `strict`, and any layout otherwise. Files that could not be read are
    added to `unread`.
    """
    annotated = (*find_described(folder, unread), *find_annotated(folder, unread))
    try:
        tables = find_tables(folder, unread)
    except InputError:
        if not annotated:
            raise
        tables = ()
    drawn = [layout for layout in annotated if layout.kind != "findings"]
    drawn.sort(key=lambda layout: layout.layout == "masks")  # a table says more than folders of masks
    noted = sorted(
        (layout for layout in annotated if layout.kind == "findings"), key=lambda layout: split_rank(layout.path)
    )
    # A table is more reliable than the names of folders.
    listed = [layout for layout in tables if layout.kind == "csv"]
    rest = [layout for layout in tables if layout.kind != "csv" and not _has_masks_for_classes(layout, drawn)]
    everything: list[FoundClasses | FoundAnnotations] = [*drawn, *listed, *noted, *rest]
    wanted = [layout for layout in everything if _kind(layout) in kinds] or ([] if strict else everything)
    if not wanted:
        known = ", ".join(dict.fromkeys(_kind(layout) for layout in everything))
        why = "".join(f" {text}" for text in reasons(broken(unread)))
        raise InputError(f"{folder}: it has no annotations for a {kinds[0]}. It has annotations for: {known}.{why}")
    return wanted[0], [layout for layout in everything if layout is not wanted[0]]


def _has_masks_for_classes(layout: FoundClasses, drawn: Sequence[FoundAnnotations]) -> bool:
    """Whether a folder that was taken for a class holds the masks of images that were found elsewhere."""
    folders = [layout.path / name for name in layout.classes] if layout.kind == "folders" else []
    return any(one.only_drawn_in(folder) for folder in folders for one in drawn)


def _kind(layout: FoundClasses | FoundAnnotations) -> str:
    if isinstance(layout, FoundClasses):
        return "classification"
    return {"masks": "segmentation", "boxes": "detection", "findings": "multilabel"}[layout.kind]


def unfinished(text: str) -> list[tuple[int, str]]:
    """The lines of a plan that need a value from the user: number from 1, and the question."""
    return [(one.line, one.text.partition(f"{FILL_IN}: ")[2] or one.code) for one in marked(text, FILL_IN)]


def seen(text: str) -> list[str]:
    """The remarks of a plan about its folder: what was found, what else is there, and what could not be read."""
    words = ("# Found: ", "# Also there", "# Not read: ", "# Note: ")
    return [line.removeprefix("# ") for line in text.partition("title = ")[0].splitlines() if line.startswith(words)]


def _head(
    folder: Path,
    layout: FoundClasses | FoundAnnotations,
    others: Sequence[FoundClasses | FoundAnnotations],
    unread: Sequence[str],
) -> str:
    tasks = [f", with --task {_kind(other)}" if _kind(other) != _kind(layout) else "" for other in others]
    listed = zip(tasks[:3], others[:3], strict=True)
    also = "".join(f"# Also there{task}: {plain(other.describe())}\n" for task, other in listed)
    also += "".join(f"# Not read: {plain(text)}\n" for text in unread[:3])
    noted = [*layout.notes, *_unequal(layout)] if isinstance(layout, FoundClasses) else []
    also += "".join(f"# Note: {plain(text)}\n" for text in noted)
    return (
        f"# A plan for `palpate audit`. Lines marked {CHECK} are guesses, lines marked {FILL_IN} need your value.\n"
        f"# Found: {plain(layout.describe())}\n{also}\n"
        f"title = {text_of(f'Robustness audit: {folder.resolve().name}')}\n"
        "seed = 0\n"
    )


def _data(place: Path, layout: FoundClasses) -> str:
    lines = ["[data]"]
    if layout.kind == "csv":
        lines += [f"table = {path_of(layout.path, place)}"]
        if layout.images is not None and layout.images.resolve() != layout.path.parent.resolve():
            lines.append(f"images = {path_of(layout.images, place)}")
        lines += [f"file = {text_of(layout.file or '')}", _label(layout)]
        lines += origin_lines(layout)
        if layout.split and layout.splits:
            lines.append(f"where = {{{key_of(layout.split)} = {text_of(layout.splits[0][0])}}}{_others(layout)}")
    elif layout.kind == "folders":
        lines.append(f"folders = {path_of(layout.path, place)}")
        lines += origin_lines(layout) if layout.seen and layout.seen.dicom else []
    else:
        lines += [
            f"medmnist = {path_of(layout.path, place)}",
            f"split = {text_of(layout.splits[0][0])}{_others(layout)}",
        ]
    lines += [f"# {note}" for note in _unequal(layout)]
    lines += turned_lines(layout)
    lines.append("# limit = 100  # audit at most this many images, every class in proportion")
    return "\n".join(lines) + "\n"


def _label(layout: FoundClasses) -> str:
    if layout.one_hot:
        return f"label = {texts(layout.one_hot)}  # {CHECK}: one column per class; each line has exactly one 1"
    line = f"label = {text_of(layout.label or '')}"
    others = plain(", ".join(layout.others[:6]))
    if layout.asked:
        return f"{line}  # {FILL_IN}: which column holds the labels? This one, or {others}"
    return f"{line}  # {CHECK}: labels could also be in {others}" if others else line


def _unequal(layout: FoundClasses) -> list[str]:
    """A remark about images that differ: they are audited unchanged, in batches of one shape."""
    seen = layout.seen
    if layout.equal or seen is None:
        return []
    if len(seen.channels) > 1:
        held = " and ".join(f"{count} with {number}" for number, count in seen.channels)
        return [
            f"The images differ in channels ({held}, of those looked at). If the network expects RGB, "
            "preprocess.channels = 3 repeats grey."
        ]
    return ["The images differ in size or depth and are audited unchanged. preprocess.size gives the network one size."]


def _others(layout: FoundClasses) -> str:
    return "  # " + ", ".join(f"{plain(name)}: {count} images" for name, count in layout.splits)


def _task(layout: FoundClasses, disease: tuple[str, ...]) -> str:
    count = len(layout.classes)
    graded = layout.numbered and count > 2 and bool(_GRADED.search(layout.label or ""))
    kind = "binary" if count == 2 else "ordinal" if graded else "multiclass"
    order = "their names, in this order" if layout.numbered else "the order must be that of the model's outputs"
    lines = ["[task]"]
    lines.append(f'kind = "{kind}"' + ("" if count == 2 else f"  # {CHECK}: multiclass, or ordinal for grades"))
    lines.append(f"classes = {texts(layout.classes)}  # {CHECK}: {order}")
    if disease:
        lines.append(f"disease = {texts(disease)}  # {CHECK}: the classes that count as disease")
    else:
        lines.append(f"# disease = {texts(layout.classes[1:])}  # the classes that count as disease, for goals")
    others = ', or "cumulative" for K - 1 thresholds' if graded else ', or "one-logit"' if count == 2 else ""
    lines.append(f'head = "softmax"  # one logit per class{others}')
    return "\n".join(lines) + "\n"


def _disease(layout: FoundClasses) -> tuple[str, ...]:
    """The classes without a healthy name; empty if no class has a healthy name."""
    classes = layout.classes
    if list(classes) == ["0", "1"]:
        if layout.kind == "medmnist":
            return _OF_ARCHIVES.get(re.sub(r"_\d+$", "", layout.path.stem.lower()), ())
        # In a column `No Finding` or `normal` a 1 is the healthy class.
        return ("0",) if _HEALTHY.search(layout.label or "") else ("1",)
    healthy = [name for name in classes if _HEALTHY.search(name)]
    return tuple(name for name in classes if name not in healthy) if healthy else ()


def _attacks(layout: FoundClasses, disease: tuple[str, ...]) -> str:
    """With two classes, one of them a disease, the untargeted attack reaches both clinical goals itself."""
    clinical = ("hide disease", "invent disease")
    if len(layout.classes) == 2:
        return attack_part("classes")
    return attack_part("classes", clinical) if disease else attack_part("classes", proposed=clinical)


_GATES = """# Limits that the model must meet; `palpate audit` ends with status 1 if it does not.
# [[gates]]
# metric = "robust_accuracy"
# eps = "{eps}"
# at_least = 0.5
# [[gates]]
# metric = "robust_accuracy"
# artefact = "{artefact}"
# severity = 3
# at_least = 0.5
"""
