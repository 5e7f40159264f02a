"""The parts of a first plan for masks, boxes or findings."""

from __future__ import annotations

from pathlib import Path

from palpate.audit.plan.toml_words import CHECK, FILL_IN, key_of, path_of, plain, text_of, texts
from palpate.audit.starter.attacks import attack_part
from palpate.audit.starter.values import origin_lines, turned_lines
from palpate.data.annotations.findings import is_no_finding
from palpate.data.inspect.found_annotations import FoundAnnotations
from palpate.data.inspect.mask_values import MaskValues


def annotated_parts(place: Path, layout: FoundAnnotations) -> tuple[str, str, str]:
    """`[data]`, `[task]` and `[[attacks]]` for annotated images; `place` is the plan's own folder."""
    kinds = {"masks": (_masks, _segmentation), "boxes": (_boxes, _detection), "findings": (_findings, _multilabel)}
    data, task = kinds[layout.kind]
    if layout.layout == "masks":
        lines = ["[data]", *_paired(place, layout)]
    elif layout.layout == "table":
        lines = ["[data]", *data(place, layout), *_shared(place, layout)]
    else:
        lines = ["[data]", *_described(place, layout)]
    first = next((name for name in layout.names if not is_no_finding(name)), next(iter(layout.names), ""))
    return "\n".join(lines) + "\n", "\n".join(["[task]", *task(layout)]) + "\n", _attacks(layout, first)


def _shared(place: Path, layout: FoundAnnotations) -> list[str]:
    lines = []
    if layout.images != place and layout.images.resolve() != layout.path.parent.resolve():
        lines.append(f"images = {path_of(layout.images, place)}")
    lines += origin_lines(layout)
    if layout.split and layout.splits:
        others = ", ".join(f"{plain(name)}: {count} images" for name, count in layout.splits)
        lines.append(f"where = {{{key_of(layout.split)} = {text_of(layout.splits[0][0])}}}  # {others}")
    lines += turned_lines(layout)
    lines.append("# limit = 100  # audit at most this many images")
    return lines


def _described(place: Path, layout: FoundAnnotations) -> list[str]:
    """Data in the layout of another tool, which defines the places of all files."""
    others = plain(", ".join(layout.others[:6]))
    asked = f"  # {FILL_IN}: which set? Or {others}" if others and layout.layout != "coco" else ""
    lines = [f"{layout.layout} = {path_of(layout.path, place)}{asked}"]
    if layout.splits:
        counts = ", ".join(f"{plain(name)}: {count} images" for name, count in layout.splits)
        lines.append(f"split = {text_of(layout.splits[0][0])}  # {counts}")
    if layout.folds is not None:
        lines.append(f"splits = {path_of(layout.folds, place)}")
    if layout.layout in ("coco", "datalist"):
        asked = f"  # {FILL_IN}: these files are in {others} too" if others else ""
        if asked or layout.images.resolve() != layout.path.parent.resolve():
            lines.append(f"images = {path_of(layout.images, place)}{asked}")
        lines.append('# group = "patient"  # key of the patient, where one has several images')
    lines += [f"# {plain(note)}" for note in layout.notes]
    if layout.layout in ("datalist", "voc") and layout.kind == "masks":
        lines += MaskValues(layout.values, layout.threshold, layout.doubt).lines()
    lines += turned_lines(layout)
    lines.append("# limit = 100  # audit at most this many images")
    return lines


def _paired(place: Path, layout: FoundAnnotations) -> list[str]:
    """Folders of images and masks that belong together by their names."""
    naming = layout.naming
    others = f"  # {FILL_IN}: or {', '.join(map(plain, layout.others))}" if layout.others else ""
    together = layout.images == layout.path
    lines = [f"images = {path_of(layout.images, place)}"]
    lines.append(f"masks = {path_of(layout.path, place)}{'' if together else others}")
    rules = [("image_name", naming.image), ("mask_name", naming.mask)]
    if layout.view:
        lines.append(f"field = {path_of(layout.view, place)}  # {CHECK}: zeros of these masks do not count")
        rules.append(("field_name", naming.field))
    for name, rule in rules:
        end = others if together and name == "mask_name" else ""
        if rule != "{stem}" or end:
            lines.append(f"{name} = {text_of(rule)}{end}")
    if layout.unmatched:
        lines.append(
            f'unpaired = "refuse"  # {FILL_IN}: {plain(layout.unmatched)}. "skip" leaves them out; "empty" takes '
            "images without a mask as images without a structure"
        )
    lines += MaskValues(layout.values, layout.threshold, layout.doubt).lines()
    if layout.ignore_value is not None:
        lines.append(f"ignore_value = {layout.ignore_value}  # {CHECK}: pixels of this value do not count")
    lines += [f"# {CHECK}: {plain(note)}" for note in layout.notes]
    if len(layout.form.shape) == 3:
        lines.append("# spacing = [1.0, 1.0]  # size of a pixel in mm, along rows and columns")
    lines += turned_lines(layout)
    lines.append("# limit = 100  # audit at most this many images")
    return lines


def _masks(place: Path, layout: FoundAnnotations) -> list[str]:
    lines = [f"table = {path_of(layout.path, place)}", f"file = {text_of(layout.file)}"]
    lines.append(f"mask = {text_of(layout.mask or '')}{_asked(layout)}")
    lines += MaskValues(layout.values, layout.threshold, layout.doubt).lines()
    if layout.field:
        lines.append(f"field = {text_of(layout.field)}  # {CHECK}: zeros of these masks do not count")
    if len(layout.form.shape) == 3:
        lines.append("# spacing = [1.0, 1.0]  # size of a pixel in mm, along rows and columns")
    return lines


def _asked(layout: FoundAnnotations) -> str:
    """The question to the user if several columns hold masks."""
    if not layout.others:
        return ""
    every = texts((layout.mask or "", *layout.others))
    others = plain(", ".join(layout.others))
    return f"  # {FILL_IN}: or {others}; or mask = {every}, each named in task.structures, with task.exclusive = false"


def _boxes(place: Path, layout: FoundAnnotations) -> list[str]:
    listing, column = layout.listing or (layout.path, layout.file)
    lines = [f"table = {path_of(listing, place)}", f"file = {text_of(column)}"]
    lines += [f"boxes = {path_of(layout.path, place)}", f"box_file = {text_of(layout.file)}"]
    if layout.label:
        asked = f"  # {FILL_IN}: the column of classes; or {plain(', '.join(layout.others))}" if layout.others else ""
        lines.append(f"label = {text_of(layout.label)}{asked}")
    lines.append(f"corners = {texts(layout.corners or ())}")
    if layout.doubtful:
        lines.append(
            f'box_mode = "{layout.mode}"  # {FILL_IN}: "xywh": x and y are the left upper corner; "ccwh": the centre. '
            "Both fit these boxes"
        )
    elif layout.mode != "xyxy":
        what = "x and y are the centre" if layout.mode == "ccwh" else "x and y are the left upper corner"
        lines.append(f'box_mode = "{layout.mode}"  # {CHECK}: {what}')
    if layout.fractions:
        lines.append('box_unit = "fractions"  # of the width and height of the image')
    return lines


def _findings(place: Path, layout: FoundAnnotations) -> list[str]:
    lines = [f"table = {path_of(layout.path, place)}", f"file = {text_of(layout.file)}"]
    if layout.lists is not None:
        lines.append(f"label = {text_of(layout.lists.label)}  # its cells list the findings of an image")
        lines.append(f"separator = {text_of(layout.lists.separator or '')}")
        if layout.lists.ignored:
            lines.append(f"ignored = {texts(layout.lists.ignored)}  # {CHECK}: words that are not findings")
    return lines


def _segmentation(layout: FoundAnnotations) -> list[str]:
    return [
        'kind = "segmentation"',
        f"structures = {texts(layout.names)}  # {CHECK}: their names, in the order of the model's outputs",
        f"exclusive = {str(layout.exclusive).lower()}  # {CHECK}: a softmax over background and structures; "
        "false: a sigmoid per structure",
        f"floor = 0.5  # {CHECK}: the Dice below which a mask is useless",
    ]


def _detection(layout: FoundAnnotations) -> list[str]:
    return [
        'kind = "detection"',
        f"classes = {texts(layout.names)}  # {CHECK}: in the order of the model's outputs",
        f'head = "sigmoid"  # {CHECK}: or "softmax" with "no object" last (DETR, YOLOS)',
        f"confidence = 0.5  # {CHECK}: the operating point",
        f"floor = 0.5  # {CHECK}: the F1 below which an image's boxes are useless",
    ]


def _multilabel(layout: FoundAnnotations) -> list[str]:
    return [
        'kind = "multilabel"',
        f"findings = {texts(layout.names)}  # {CHECK}: in the order of the model's outputs",
        f"thresholds = [0.5]  # {CHECK}: operating points as probabilities, one for all or one each",
    ]


def _attacks(layout: FoundAnnotations, first: str) -> str:
    goal = {"masks": f"erase: {first}", "boxes": "vanish", "findings": f"miss: {first}"}[layout.kind]
    return attack_part(layout.kind, (goal,))
