"""Sites, scanners and regions of images: carried where they are named, and no part of any identity elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palpate.data.annotations.labels import BoxLabels, ClassLabels, FindingLabels, MaskLabels
from palpate.data.layouts.csv_table import CsvTable
from palpate.data.listing import About
from palpate.data.table import Table, read_table
from palpate.errors import InputError
from tests.data.pictures import noise, save
from tests.data.volumes import scan, write


def folder(root: Path) -> Path:
    for number in range(3):
        save(root / f"{number}.png", noise(6, 5, seed=number))
    save(root / "where.png", (noise(6, 5) > 99).astype(np.uint8))
    lines = [
        "file,label,mask,who,house,device,lung",
        "0.png,0,where.png,p,Bern,Acme,where.png",
        "1.png,1,where.png,q,,,",
    ]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    (root / "boxes.csv").write_text("image,label,xmin,ymin,xmax,ymax\n0.png,0,1,1,3,3\n")
    return root / "labels.csv"


MORE = About("who", "house", "device", "lung")
UNGROUPED = replace(MORE, group=None)


@pytest.mark.parametrize("kind", ["classes", "masks", "findings", "boxes"])
def test_every_table_carries_them(tmp_path: Path, kind: str) -> None:
    path = folder(tmp_path)
    labels = {
        "classes": ClassLabels(),
        "masks": MaskLabels(),
        "findings": FindingLabels(["label"]),
        "boxes": BoxLabels(boxes=tmp_path / "boxes.csv"),
    }[kind]
    table = read_table(CsvTable(path, about=MORE), labels)
    assert [(case.group, case.site, case.scanner) for case in table] == [("p", "Bern", "Acme"), ("q", "", "")]
    region = table.region(0)
    assert region is not None and region.dtype == np.bool_ and table.region(1) is None
    np.testing.assert_array_equal(region, noise(6, 5) > 99)


def test_identities_from_before_stay(tmp_path: Path) -> None:
    path = folder(tmp_path)
    plain, told = Table.from_csv(path, tmp_path), read_table(CsvTable(path, about=UNGROUPED), ClassLabels())
    assert plain.fingerprint([1]) == told.fingerprint([1])
    assert plain.fingerprint([0]) != told.fingerprint([0])
    save(tmp_path / "where.png", (noise(6, 5) > 150).astype(np.uint8))
    changed = read_table(CsvTable(path, about=UNGROUPED), ClassLabels())
    assert changed.fingerprint([0]) != told.fingerprint([0])


def test_regions_lie_on_the_grid_of_their_image(tmp_path: Path) -> None:
    path = folder(tmp_path)
    save(tmp_path / "where.png", noise(6, 6))
    with pytest.raises(InputError, match=r"where\.png has the size 6 x 6, and its image 0\.png 6 x 5"):
        read_table(CsvTable(path, tmp_path, about=About(region="lung")), ClassLabels()).region(0)
    (tmp_path / "where.png").unlink()
    with pytest.raises(InputError, match=r"line 2: column 'lung' holds 'where\.png', which does not exist"):
        read_table(CsvTable(path, tmp_path, about=About(region="lung")), ClassLabels())


def test_masks_of_one_format_for_volumes_of_another(tmp_path: Path) -> None:
    nrrd = pytest.importorskip("nrrd")
    write(tmp_path / "v.nii.gz", scan(3, 5, 4))
    nrrd.write(str(tmp_path / "m.nrrd"), (scan(3, 5, 4) % 3).astype(np.uint8), {"spacings": [0.5, 2.0, 3.0]})
    (tmp_path / "labels.csv").write_text("file,mask\nv.nii.gz,m.nrrd\n")
    table = Table.from_masks(tmp_path / "labels.csv", tmp_path, structures=["a", "b"])
    np.testing.assert_array_equal(table.annotation(0).labels, scan(3, 5, 4) % 3)
    nrrd.write(str(tmp_path / "m.nrrd"), (scan(3, 5, 4) % 3).astype(np.uint8), {"spacings": [1.0, 2.0, 3.0]})
    with pytest.raises(InputError, match="another spacing than its image"):
        table.annotation(0)
