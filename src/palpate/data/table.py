"""How tables are made: one constructor for each layout in which labelled or annotated images lie on a disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from palpate.data.annotations.box_modes import BoxMode
from palpate.data.annotations.boxes import BoxColumns, box_cases
from palpate.data.annotations.findings import FindingLists, finding_cases
from palpate.data.annotations.mask_coding import coded
from palpate.data.annotations.mask_table import mask_cases
from palpate.data.layouts.archive import Archive, archive_cases, archive_findings
from palpate.data.layouts.class_folders import read_class_folders
from palpate.data.layouts.coco import coco_boxes, coco_masks, read_coco
from palpate.data.layouts.datalist import Keys, Shows, read_datalist
from palpate.data.layouts.nnunet import nnunet_coding, nnunet_sheet, read_dataset
from palpate.data.layouts.voc import read_voc
from palpate.data.listing import About, class_cases, listed_lines
from palpate.data.rows import Rows
from palpate.data.sheets import read_csv
from palpate.data.source import Folder, Source
from palpate.data.stacked import Stacked
from palpate.errors import InputError

__all__ = ["Folder", "Source", "Table"]


@dataclass(frozen=True)
class Table(Rows):
    """The labelled or annotated images of an audit, from any layout. See `Rows` for what it holds and answers."""

    @classmethod
    def from_csv(
        cls,
        table: Path,
        images: Path,
        file: str = "file",
        label: str | Sequence[str] = "label",
        group: str | None = None,
        where: Mapping[str, object] | None = None,
        classes: Sequence[str] | None = None,
        *,
        site: str | None = None,
        scanner: str | None = None,
        region: str | None = None,
    ) -> Table:
        """A table from a CSV with one line an image.

        Args:
            table: the CSV, in UTF-8; comma, semicolon or tab.
            images: folder that the paths in the column `file` start from.
            file: column of paths; a bare identifier stands for the one image of that name.
            label: column of labels, names of classes or their numbers from 0; or columns of 1 and 0, one a class.
            group: column that says which images belong together, such as the patient's; none: each image alone.
            where: keep lines whose column has this value, such as `{"split": "test"}`.
            classes: names of the classes in the model's order; without them labels must be numbers.
            site: column that says where an image was taken.
            scanner: column of scanners; DICOM files say it by themselves.
            region: column of masks of where an image may change; an empty cell is no mask.

        Raises:
            InputError: a column, a file or a label is not there or not what it should be, or no line is left.
        """
        about = About(group, site, scanner, region)
        return cls(*class_cases(read_csv(table), images, file, label, about, where or {}, classes), Folder(images))

    @classmethod
    def from_masks(
        cls,
        table: Path,
        images: Path,
        file: str = "file",
        mask: str | Sequence[str] = "mask",
        *,
        structures: Sequence[str] | None = None,
        values: Sequence[int] | None = None,
        field: str | None = None,
        ignore_value: int | None = None,
        threshold: float | None = None,
        spacing: Sequence[float] | None = None,
        group: str | None = None,
        where: Mapping[str, object] | None = None,
        exclusive: bool = True,
        site: str | None = None,
        scanner: str | None = None,
        region: str | None = None,
    ) -> Table:
        """A table of images or volumes with masks, from a CSV with one line an image.

        Masks are of any format, on the grid of the image, or DICOM SEG, whose segments are matched to the structures by
        name, or by number where `values` are given. Nothing is reordered or resampled. A mask of zeros is valid.

        Args:
            table: the CSV; `file`, `group` and `where` as in `from_csv`.
            images: folder that the paths of images and of masks start from.
            file: column of images.
            mask: column of masks; or one column a structure, where structures may overlap.
            structures: names of the structures; the numbers 1 to S, or the columns of masks, by default.
            values: stored value of each structure; 0 is background. One column: 1 to S by default, (255,) for a
                usual PNG. One column a structure: 1 in each by default; a single value holds for all.
            field: column of field-of-view masks, whose zeros become `IGNORE`; an empty cell is the whole image.
            ignore_value: stored value that becomes `IGNORE`.
            threshold: instead of `values`: a structure is where the stored value is at least this (JPEG).
            spacing: mm of a pixel along rows and columns; for volumes the header says it.
            group: column that says which images belong together.
            where: keep lines whose column has this value.
            exclusive: give each pixel one structure at most; False gives a mask a structure.
            site: as `scanner` and `region`, a column; see `from_csv`.
            scanner: a column.
            region: a column.

        Raises:
            InputError: a column or file is not there, values contradict each other, or no line is left.
        """
        coding = coded(mask, values, structures, field, ignore_value, exclusive, threshold)
        about = About(group, site, scanner, region)
        cases, masks = mask_cases(read_csv(table), images, file, coding, structures, spacing, about, where or {})
        return cls(*cases, Folder(images), masks)

    @classmethod
    def from_boxes(
        cls,
        table: Path,
        images: Path,
        file: str = "image",
        label: str = "label",
        corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax"),
        *,
        mode: BoxMode = "xyxy",
        fractions: bool = False,
        listing: Path | None = None,
        listing_file: str | None = None,
        group: str | None = None,
        where: Mapping[str, object] | None = None,
        classes: Sequence[str] | None = None,
        site: str | None = None,
        scanner: str | None = None,
        region: str | None = None,
    ) -> Table:
        """A table of images with boxes, from a CSV with one line a box.

        A line without corners stands for an image without boxes. So does an image of `listing` that no box names;
        boxes of images that it leaves out are passed over.

        Args:
            table: the CSV of boxes.
            images: folder that the paths of images start from.
            file: its column of images.
            label: its column of classes: names, or numbers from 0.
            corners: its columns of left, top, right and bottom, or what `mode` says, in pixels of the stored image.
            mode: what the four numbers are: `xyxy`, `xywh`, `xxyy` or `ccwh`.
            fractions: whether they are fractions of the image and not pixels.
            listing: a second CSV with one line an image; none takes the images from the CSV of boxes.
            listing_file: its column of images; `file` by default.
            group: column that says which images belong together; of the listing, if there is one.
            where: keep lines whose column has this value; of the listing, if there is one.
            classes: names of the classes in the model's order; without them labels must be numbers.
            site: as `scanner` and `region`, a column where `group` is one; see `from_csv`.
            scanner: a column.
            region: a column.

        Raises:
            InputError: a column or file is not there, a box has no area, no number or no known class, or none is left.
        """
        columns = BoxColumns(file, label, corners, mode, fractions)
        second = None if listing is None else (read_csv(listing), listing_file or file)
        about = About(group, site, scanner, region)
        cases, boxes = box_cases(read_csv(table), images, columns, second, about, where or {}, classes)
        return cls(*cases, Folder(images), boxes)

    @classmethod
    def from_findings(
        cls,
        table: Path,
        images: Path,
        findings: Sequence[str],
        file: str = "file",
        group: str | None = None,
        where: Mapping[str, object] | None = None,
        *,
        lists: FindingLists | None = None,
        site: str | None = None,
        scanner: str | None = None,
        region: str | None = None,
    ) -> Table:
        """A table of images of which each may show several findings, from a CSV with one line an image.

        Args:
            table: the CSV; `file`, `group` and `where` as in `from_csv`.
            images: folder that the paths of images start from.
            findings: columns of findings, in the order of the model's outputs. Cells: 1 present, 0 absent; -1, `u`,
                `uncertain` or nothing: not judged.
            file: column of images.
            group: column that says which images belong together.
            where: keep lines whose column has this value.
            lists: the one column whose cells list the findings of an image, instead of a column a finding.
            site: as `scanner` and `region`, a column; see `from_csv`.
            scanner: a column.
            region: a column.

        Raises:
            InputError: a column, a file or a cell is not there or not what it should be, or no line is left.
        """
        about = About(group, site, scanner, region)
        cases, values = finding_cases(read_csv(table), images, file, findings, about, where or {}, lists)
        return cls(*cases, Folder(images), values)

    @classmethod
    def from_folders(cls, root: Path, classes: Sequence[str] | None = None) -> Table:
        """A table from one folder a class, its images at any depth below; its notes say what was left out.

        Args:
            root: the folder of class folders; folders without images are no classes, run folders are passed over.
            classes: names of the folders in the model's order, the only ones that are read; all folders by default.

        Raises:
            InputError: there are no class folders or no images, images lie outside, or a class may be misspelt.
        """
        held = read_class_folders(root, classes)
        return cls(held.cases, held.classes, Folder(root), notes=held.notes)

    @classmethod
    def from_medmnist(
        cls,
        archive: Path,
        split: str = "test",
        classes: Sequence[str] | None = None,
        findings: Sequence[str] | None = None,
    ) -> Table:
        """A table from one split of a MedMNIST `.npz`; `palpate.data.layouts.archive` says which arrays it reads.

        Raises:
            InputError: an array is missing, damaged, of another shape or type, or a label is outside the classes.
        """
        if findings is not None:
            cases, values = archive_findings(archive, split, findings)
            return cls(*cases, Archive(archive, split), values)
        return cls(*archive_cases(archive, split, classes), Archive(archive, split))

    @classmethod
    def from_nnunet(
        cls,
        folder: Path,
        split: str | None = None,
        *,
        structures: Sequence[str] | None = None,
        exclusive: bool | None = None,
        spacing: Sequence[float] | None = None,
    ) -> Table:
        """A table from an nnU-Net raw dataset: `dataset.json`, `imagesTr`, `labelsTr`; versions 1 and 2.

        Files `case_0000`, `case_0001` ... are the channels of one image. Labels that are lists are structures that
        overlap; the label `ignore` counts for nothing.

        Args:
            folder: such as `Dataset001_Hippo`.
            split: `train` (Tr) or `test` (Ts); by default `test` where labelsTs holds files, else `train`.
            structures: the names of `dataset.json` in the order of the model's outputs; in its order by default.
            exclusive: give each pixel one structure at most; by default as `dataset.json` says.
            spacing: mm of a pixel along each axis where files do not say.

        Raises:
            InputError: a key, split, channel or label is missing, or the structures are others.
        """
        dataset = read_dataset(folder)
        sheet, files = nnunet_sheet(dataset, split)
        coding = nnunet_coding(dataset, structures, exclusive)
        names = tuple(dataset.labels) if structures is None else structures
        cases, masks = mask_cases(sheet, folder, "file", coding, names, spacing, About(), {})
        return cls(*cases, Stacked(folder, channels=files), masks)

    @classmethod
    def from_datalist(
        cls,
        path: Path,
        split: str | None = None,
        images: Path | None = None,
        *,
        shows: Shows = "classes",
        names: Sequence[str] | None = None,
        keys: Keys | None = None,
        values: Sequence[int] | None = None,
        ignore_value: int | None = None,
        threshold: float | None = None,
        exclusive: bool = True,
        spacing: Sequence[float] | None = None,
        about: About | None = None,
        where: Mapping[str, object] | None = None,
    ) -> Table:
        """A table from a MONAI or Decathlon datalist: lists of `{"image": path, "label": ..., ...}` in a JSON.

        An image that is a list of paths has its channels in files of their own. A label is a class, a path or one
        path a structure, a list of classes of boxes, or a list of 0 and 1 (-1: not judged).

        Args:
            path: the JSON.
            split: key of the list, such as `validation`; by default the only one whose items are labelled.
            images: folder that paths start from; the JSON's own by default.
            shows: what labels are.
            names: classes, structures or findings, in the order of the model's outputs.
            keys: keys of images, labels and boxes; `image`, `label` and `box` by default.
            values: of masks, as in `from_masks`.
            ignore_value: of masks, as in `from_masks`.
            threshold: of masks, as in `from_masks`.
            exclusive: of masks, as in `from_masks`.
            spacing: of masks, as in `from_masks`.
            about: keys that say where an image comes from.
            where: keep items whose key has this value, such as `{"fold": 0}`.

        Raises:
            InputError: a list, key or file is not there or not what it should be, or a path leads out of the folder.
        """
        keys, about, where, root = keys or Keys(), about or About(), where or {}, images or path.parent
        held = read_datalist(path, split, root, keys, shows, names)
        source = Stacked(root, channels=held.files)
        if shows == "classes":
            return cls(*class_cases(held.images, root, keys.image, keys.label, about, where, names), source)
        if shows == "masks":
            coding = coded(held.masks, values, names, None, ignore_value, exclusive, threshold)
            cases, masks = mask_cases(held.images, root, keys.image, coding, names, spacing, about, where)
            return cls(*cases, source, masks)
        if shows == "findings":
            if names is None:
                raise InputError("names: findings have no names. Give them, in the order of the model's outputs.")
            cases, findings = finding_cases(held.images, root, keys.image, names, about, where)
            return cls(*cases, source, findings)
        listing = (held.images, keys.image)
        cases, boxes = box_cases(held.boxes, root, BoxColumns(), listing, about, where, names)
        return cls(*cases, source, boxes)

    @classmethod
    def from_coco(
        cls,
        path: Path,
        images: Path | None = None,
        *,
        shows: Literal["boxes", "masks"] = "boxes",
        names: Sequence[str] | None = None,
        exclusive: bool = True,
        spacing: Sequence[float] | None = None,
        about: About | None = None,
        where: Mapping[str, object] | None = None,
    ) -> Table:
        """A table from a COCO JSON. Images without annotations are kept.

        Boxes of crowds are passed over; in masks the pixels of crowds are ignored. All annotations of a category are
        one structure.

        Args:
            path: the JSON.
            images: folder that `file_name` starts from; the JSON's own by default.
            shows: its boxes, or masks from its polygons and run lengths.
            names: categories in the order of the model's outputs; in the order of their ids by default.
            exclusive: of masks: give each pixel one structure at most.
            spacing: of masks: mm of a pixel along rows and columns where files do not say.
            about: keys of images that say where they come from.
            where: keep images whose key has this value.

        Raises:
            InputError: a key or file is not there, an id is unknown or stands there twice, or a shape does not fit.
        """
        root, about, where = images or path.parent, about or About(), where or {}
        coco = read_coco(path, root)
        if shows == "masks":
            masks = coco_masks(coco, root, names, exclusive, spacing)
            coco.images.require((*about.columns, *where))
            kept = listed_lines(coco.images, root, "file_name", about, where)
            return cls(tuple(case for _, case in kept), masks.structures, Folder(root), masks)
        named = tuple(coco.categories.values()) if names is None else names
        listing = (coco.images, "file_name")
        cases, boxes = box_cases(coco_boxes(coco), root, BoxColumns(), listing, about, where, named)
        return cls(*cases, Folder(root), replace(boxes, sizes=coco.sizes))

    @classmethod
    def from_voc(
        cls,
        root: Path,
        split: str | None = None,
        *,
        classes: Sequence[str] | None = None,
        difficult: bool = False,
    ) -> Table:
        """A table of boxes from a Pascal VOC folder: `Annotations`, `JPEGImages`, `ImageSets/Main`.

        Args:
            root: such as `VOC2007`.
            split: a list in `ImageSets/Main`; by default `test`, or all annotations where there are no lists.
            classes: names of the classes in the model's order; sorted by default.
            difficult: keep boxes that are marked as difficult.

        Raises:
            InputError: a folder, split, image or size is missing, or an XML is damaged or declares entities.
        """
        boxes, images, sizes = read_voc(root, split, difficult)
        names = sorted({line.cells["label"] for line in boxes.lines}) if classes is None else classes
        cases, held = box_cases(boxes, root, BoxColumns(), (images, "image"), About(), {}, names)
        return cls(*cases, Folder(root), replace(held, sizes=sizes))
