"""`[data]` of a plan: the labelled or annotated images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, create_model

from palpate.audit.plan.sections.base import Section
from palpate.data.layouts.registry import LAYOUTS, help_of

Modality = Literal["ct", "mr", "xray", "ultrasound", "endoscopy", "dermoscopy", "fundus", "microscopy"]

if TYPE_CHECKING:
    _Layouts = Section
else:
    _Layouts = create_model(
        "_Layouts",
        __base__=Section,
        **{
            name: (str | None, Field(default=None, description=help_of(kind), examples=[f'{name} = "{kind.example}"']))
            for name, kind in LAYOUTS.items()
        },
    )


class DataSection(_Layouts):
    """`[data]`: the labelled images. Exactly one layout names them, `table` or one of the fields below it."""

    split: str = "test"
    """Split of an archive, a datalist, or a VOC, YOLO or nnU-Net folder (`train`, `test`). Default: for an nnU-Net
    folder `test` if it has labels, else `train`; for a datalist its only labelled list; for a YOLO set `test`, else
    `val`. For a CSV: see `where`."""
    splits: str | None = Field(
        default=None, examples=['splits = "nnUNet_preprocessed/Dataset004_Hippocampus/splits_final.json"']
    )
    """For an nnU-Net folder: its `splits_final.json`. With `split = "fold 0"` the cases are those that the network of
    this fold was validated on, and not trained on."""
    images: str | None = None
    """Folder that the paths of a CSV, datalist or COCO file start from, by default the folder of that file. With
    `masks`: the folder of the images, by default the folder of the masks. For a CSV also a URL: `s3://bucket/scans`."""
    roots: tuple[str, ...] = Field(default=(), examples=['roots = ["../scans"]'])
    """Folders, in addition to the plan's own, that images, masks and tables may be read from, relative to the plan or
    absolute. A file anywhere else is refused, also if a symbolic link leads there."""
    file: str = "file"
    """Column of the CSV with the paths; key of a datalist's images (default there: `image`)."""
    label: str | tuple[str, ...] = "label"
    """Column of the CSV, or key of a datalist, with the labels: names of classes, or their numbers from 0. For a CSV
    also a list of columns, one per class in the order of `task.classes`; each line has exactly one 1 in them."""
    separator: str | None = Field(default=None, min_length=1, examples=['separator = "|"'])
    """What separates the findings in the cells of the column `label`, such as `Effusion|Mass`. Without it, findings
    have a column each."""
    ignored: tuple[str, ...] = Field(default=(), examples=['ignored = ["No Finding"]'])
    """With `separator`: words in that column that are not findings of the model; `""` allows empty cells."""
    group: str | None = Field(default=None, examples=['group = "patient"'])
    """Column or key that says which images belong together, such as the patient's; `"dicom"` reads it from DICOM
    files and keeps `patient 1`, `patient 2` ... instead of identifiers."""
    where: dict[str, str | int | float | bool] = Field(default_factory=dict, examples=['where = {split = "test"}'])
    """Keep the lines or images whose column or key has this value."""
    mask: str | tuple[str, ...] | None = Field(default=None, examples=['mask = "mask"'])
    """Column of the CSV with the masks' paths; a list of columns, one per structure, where structures overlap."""
    values: tuple[int, ...] = Field(default=(), examples=["values = [255]"])
    """Stored value of each structure in the masks; 1, 2, ... by default. 0 is background. Colours: `0xff0000`."""
    threshold: float | None = Field(default=None, examples=["threshold = 128"])
    """Instead of `values`: the structure is where the stored value is at least this, for example in JPEG masks."""
    field: str | None = Field(default=None, examples=['field = "fov"'])
    """Column of the CSV, or a folder in addition to `masks`, with masks whose zeros do not count, such as a camera's
    field of view."""
    image_name: str = "{stem}"
    """With `masks`: how the files in `images` are named: the path without the ending, `{stem}` for the part that the
    files of one image share."""
    mask_name: str = Field(default="{stem}", examples=['mask_name = "{stem}_mask"'])
    """How their masks are named. `*` matches any text; an image may then have several masks, which are joined."""
    field_name: str = "{stem}"
    """How their fields of view are named."""
    unpaired: Literal["refuse", "skip", "empty"] = "refuse"
    """With `masks`: what to do with an image without a mask: stop with an error; leave it out; take it as an image
    without any structure."""
    ignore_value: int | None = Field(default=None, examples=["ignore_value = 255"])
    """Stored value of pixels in the masks that do not count; by default 255 in a VOC folder, else none."""
    boxes: str | None = Field(default=None, examples=['boxes = "boxes.csv"'])
    """A second CSV with one line per box, in pixels; the table itself if every image has a box."""
    box_file: str = "image"
    """Its column with the paths of the images."""
    corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax")
    """Its four columns of numbers: left, top, right and bottom, or in the order of `box_mode`."""
    box_mode: Literal["xyxy", "xywh", "xxyy", "ccwh"] = "xyxy"
    """What the four numbers of a box are, in a CSV or a datalist: corners; corner and size (`x`, `y`, `width`,
    `height`); both x before both y; centre and size."""
    box_unit: Literal["pixels", "fractions"] = "pixels"
    """Unit of the boxes of a CSV: pixels, or fractions of the width and height of the image."""
    difficult: bool = False
    """Keep the boxes that a VOC folder marks as difficult."""
    spacing: tuple[float, ...] | None = Field(default=None, examples=["spacing = [0.7, 0.7]"])
    """Size of a pixel along each axis in mm, if the files do not say it; volumes in NIfTI do."""
    site: str | None = Field(default=None, examples=['site = "hospital"'])
    """Column or key that says where an image was taken; carried into the records."""
    scanner: str | None = Field(default=None, examples=['scanner = "scanner"'])
    """Column or key with the scanner; not needed for DICOM files, which contain it."""
    orientation: Literal["stored", "exif"] = "stored"
    """`exif`: images are turned as their EXIF tag says, as in OpenCV and unlike Pillow; masks and boxes are drawn
    on the turned images. Copies are stored like the originals, so that a viewer shows the same."""
    region: str | None = Field(default=None, examples=['region = "lung_mask"'])
    """Column or key with masks that `threat.region` may name."""
    unit: str | None = Field(default=None, examples=['unit = "HU"'])
    """Unit of the values, if the files do not say it (NIfTI, PNG). DICOM files of CT are in HU without it."""
    modality: Modality | None = Field(default=None, examples=['modality = "endoscopy"'])
    """What kind of images these are, for artefacts, if the files do not say it. DICOM files do; values in HU are CT."""
    nan: float | None = Field(default=None, examples=["nan = -1024"])
    """Value that replaces NaN, such as the background of a registered volume. Copies store it in place of NaN."""
    limit: int | None = Field(default=None, ge=1, examples=["limit = 100"])
    """Audit at most this many images, every class in proportion."""

    @property
    def layout(self) -> str | None:
        """The field that names the images: the first layout that is given."""
        return next((name for name in LAYOUTS if getattr(self, name) is not None), None)

    @property
    def source(self) -> str:
        """Where the images come from, as the plan names it."""
        if self.layout is None:
            return "None"
        named = getattr(self, self.layout)
        # A split that the plan does not name depends on the files, so `test` would be a guess.
        given = LAYOUTS[self.layout].own_split is not None or "split" in self.model_fields_set
        return f"{named}, {self.split}" if given else str(named)
