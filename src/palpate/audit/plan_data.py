"""`[data]` of a plan: the labelled or annotated images."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.sections import Section


class DataSection(Section):
    """`[data]`: the labelled images. Name them by one of `table`, `folders` and `medmnist`."""

    table: str | None = Field(default=None, examples=['table = "labels.csv"'])
    """A CSV with one line an image."""
    folders: str | None = Field(default=None, examples=['folders = "images"'])
    """A folder with one folder a class."""
    medmnist: str | None = Field(default=None, examples=['medmnist = "breastmnist.npz"'])
    """A MedMNIST archive."""
    split: str = "test"
    """Split of the archive. Of a CSV: see `where`."""
    images: str | None = None
    """Folder that the paths of the CSV start from; the CSV's own unless told."""
    file: str = "file"
    """Column of the CSV with the paths."""
    label: str = "label"
    """Column of the CSV with the labels: names of classes, or their numbers from 0."""
    group: str | None = None
    """Column of the CSV that says which images belong together, such as the patient's."""
    where: dict[str, str | int | float | bool] = Field(default_factory=dict, examples=['where = {split = "test"}'])
    """Keep the lines of the CSV whose column has this value."""
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
    spacing: tuple[float, ...] | None = Field(default=None, examples=["spacing = [0.7, 0.7]"])
    """Size of a pixel along each axis in mm, where the files do not say; volumes in NIfTI do."""
    site: str | None = Field(default=None, examples=['site = "hospital"'])
    """Column of the CSV that says where an image was taken; carried into the records."""
    scanner: str | None = Field(default=None, examples=['scanner = "scanner"'])
    """Column of the CSV with the scanner; DICOM files say it by themselves."""
    region: str | None = Field(default=None, examples=['region = "lung_mask"'])
    """Column of the CSV with masks that `threat.region` may name."""
    unit: str | None = Field(default=None, examples=['unit = "HU"'])
    """Unit of the values, where the files do not say: NIfTI, PNG. DICOM of CT is in HU by itself."""
    limit: int | None = Field(default=None, ge=1, examples=["limit = 100"])
    """At most so many images, every class in proportion."""

    @property
    def source(self) -> str:
        """Where the images come from, as the plan names it."""
        return self.table or self.folders or f"{self.medmnist}, {self.split}"
