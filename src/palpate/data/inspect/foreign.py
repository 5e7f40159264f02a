"""Annotations of tools that palpate does not read: which tool wrote them, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from palpate.data.inspect.seen import OtherKindError
from palpate.data.json_file import read_json
from palpate.data.layouts.voc import read_xml
from palpate.data.listing import visible
from palpate.errors import InputError

__all__ = ["foreign"]


def foreign(places: Iterable[Path]) -> list[OtherKindError]:
    """One sentence for each folder whose first JSON or XML is an annotation of labelme, VIA, CVAT or Pascal VOC."""
    found = []
    for place in places:
        files = visible(place.iterdir())
        for suffix, tool_of in ((".json", _json), (".xml", _xml)):
            own = [path for path in files if path.suffix.lower() == suffix]
            if own and (what := tool_of(own[0])):
                count = f"{len(own)} files" if len(own) > 1 else "a file"
                found.append(OtherKindError(f"{place} holds {count} of {what}"))
    return found


def _json(path: Path) -> str:
    try:
        document = read_json(path)
    except InputError:
        return ""
    if not isinstance(document, dict):
        return ""
    if {"shapes", "imagePath"} <= set(document):
        return (
            f"labelme (first {path.name}), which palpate does not read. Convert them to COCO, such as with "
            "labelme2coco, or write masks with labelme_export_json."
        )
    images = document.get("_via_img_metadata", document)
    first = next(iter(images.values()), None) if isinstance(images, dict) else None
    if isinstance(first, dict) and {"regions", "filename"} <= set(first):
        return f"the VGG Image Annotator ({path.name}), which palpate does not read. Export it as COCO."
    return ""


def _xml(path: Path) -> str:
    try:
        document = read_xml(path)
    except InputError:
        return ""
    if document.tag == "annotations" and document.find("image") is not None:
        return f"CVAT ({path.name}), which palpate does not read. Export COCO, YOLO, or a segmentation mask from CVAT."
    if document.tag == "annotation" and document.find("object/bndbox") is not None:
        return (
            f"Pascal VOC (first {path.name}), without the folders of VOC. Put the XML into Annotations and the images "
            "into JPEGImages, in the same folder."
        )
    return ""
