"""`[data]` of a plan: the labelled or annotated images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from palpate.audit.sections import Section


class DataSection(Section):
    """`[data]`: the labelled images. Name them by one of `table` to `voc`."""

    table: str | None = Field(default=None, examples=['table = "labels.csv"'])
    """A CSV with one line an image."""
    folders: str | None = Field(default=None, examples=['folders = "images"'])
    """A folder with one folder a class."""
    medmnist: str | None = Field(default=None, examples=['medmnist = "breastmnist.npz"'])
    """A MedMNIST archive."""
    nnunet: str | None = Field(default=None, examples=['nnunet = "Dataset001_Hippo"'])
    """An nnU-Net raw dataset, a folder with `dataset.json`."""
    datalist: str | None = Field(default=None, examples=['datalist = "dataset.json"'])
    """A MONAI or Decathlon datalist, a JSON with lists of images and labels."""
    coco: str | None = Field(default=None, examples=['coco = "instances.json"'])
    """A COCO JSON of boxes or masks."""
    voc: str | None = Field(default=None, examples=['voc = "VOC2007"'])
    """A Pascal VOC folder: `Annotations`, `JPEGImages`, `ImageSets`."""
    split: str = "test"
    """Split of an archive, a datalist, or a VOC or nnU-Net folder (`train`, `test`). Unless told: of an nnU-Net folder
    `test` where it has labels, else `train`; of a datalist its only labelled list. Of a CSV: see `where`."""
    images: str | None = None
    """Folder that the paths of a CSV, datalist or COCO file start from; the file's own unless told."""
    roots: tuple[str, ...] = Field(default=(), examples=['roots = ["../scans"]'])
    """Folders beside the plan's own that images, masks and tables may be read from, relative to the plan or absolute.
    A file that leads anywhere else is refused, also by a symbolic link."""
    file: str = "file"
    """Column of the CSV with the paths; key of a datalist's images, `image` there unless told."""
    label: str | tuple[str, ...] = "label"
    """Column of the CSV, or key of a datalist, with the labels: names of classes, or their numbers from 0. Of a CSV
    also a list of columns, one per class in the order of `task.classes`, of which each line has exactly one 1."""
    separator: str | None = Field(default=None, min_length=1, examples=['separator = "|"'])
    """What separates the findings in the cells of the column `label`, such as `Effusion|Mass`. Without it, findings
    have a column each."""
    ignored: tuple[str, ...] = Field(default=(), examples=['ignored = ["No Finding"]'])
    """With `separator`: words in that column that stand for no finding of the model; `""` allows empty cells."""
    group: str | None = Field(default=None, examples=['group = "patient"'])
    """Column or key that says which images belong together, such as the patient's; `"dicom"` asks DICOM files, and
    keeps `patient 1`, `patient 2` ... instead of identifiers."""
    where: dict[str, str | int | float | bool] = Field(default_factory=dict, examples=['where = {split = "test"}'])
    """Keep the lines or images whose column or key has this value."""
    mask: str | tuple[str, ...] | None = Field(default=None, examples=['mask = "mask"'])
    """Column of the CSV with the masks' paths; a list of columns, one per structure, where structures overlap."""
    values: tuple[int, ...] = Field(default=(), examples=["values = [255]"])
    """Stored value of each structure in the masks; 1, 2, ... unless told. 0 is background."""
    field: str | None = Field(default=None, examples=['field = "fov"'])
    """Column of the CSV with masks whose zeros do not count, such as a camera's field of view."""
    ignore_value: int | None = Field(default=None, examples=["ignore_value = 255"])
    """Stored value of pixels in the masks that do not count."""
    boxes: str | None = Field(default=None, examples=['boxes = "boxes.csv"'])
    """A second CSV with one line a box, in pixels; the table itself where images without boxes do not occur."""
    box_file: str = "image"
    """Its column of images."""
    corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax")
    """Its columns of left, top, right and bottom."""
    box_mode: Literal["xyxy", "xywh", "xxyy", "ccwh"] = "xyxy"
    """What the four numbers of a datalist's boxes are: corners; corner and size; both x before both y; centre, size."""
    difficult: bool = False
    """Keep the boxes that a VOC folder marks as difficult."""
    spacing: tuple[float, ...] | None = Field(default=None, examples=["spacing = [0.7, 0.7]"])
    """Size of a pixel along each axis in mm, where the files do not say; volumes in NIfTI do."""
    site: str | None = Field(default=None, examples=['site = "hospital"'])
    """Column or key that says where an image was taken; carried into the records."""
    scanner: str | None = Field(default=None, examples=['scanner = "scanner"'])
    """Column or key with the scanner; DICOM files say it by themselves."""
    region: str | None = Field(default=None, examples=['region = "lung_mask"'])
    """Column or key with masks that `threat.region` may name."""
    unit: str | None = Field(default=None, examples=['unit = "HU"'])
    """Unit of the values, where the files do not say: NIfTI, PNG. DICOM of CT is in HU by itself."""
    limit: int | None = Field(default=None, ge=1, examples=["limit = 100"])
    """At most so many images, every class in proportion."""

    @property
    def source(self) -> str:
        """Where the images come from, as the plan names it."""
        named = self.table or self.folders or self.medmnist or self.nnunet or self.datalist or self.coco or self.voc
        # A split that no one has named is chosen by what is there, and `test` would be a guess.
        told = self.medmnist is not None or "split" in self.model_fields_set
        return f"{named}, {self.split}" if told else str(named)
