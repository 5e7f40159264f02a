"""Folders of classes and of findings as people bring them: tiny images in the layouts of well-known data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tests.data.pictures import noise, save

_MODEL = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.linspace(-3.0, 3.0, {outputs}))

    def forward(self, x):
        return x.flatten(1).mean(1, keepdim=True) * self.bias

def build():
    return Net()
"""


def model(folder: Path, outputs: int) -> None:
    """A network of a few outputs, and the function that builds it."""
    (folder / "model.py").write_text(_MODEL.format(outputs=outputs), encoding="utf-8")


def sheet(path: Path, header: str, rows: Sequence[str]) -> None:
    """A table of text."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def pictures(folder: Path, names: Sequence[str]) -> None:
    """Grey pictures, all different."""
    for number, name in enumerate(names):
        save(folder / name, noise(8, 9, seed=number))


def beside_runs(folder: Path) -> None:
    """Class folders beside what belongs to no class: code, caches, weights, an environment, and an earlier run."""
    pictures(folder, [f"{name}/{n}.png" for name in ("NORMAL", "PNEUMONIA") for n in range(4)])
    pictures(folder, ["runs/first/images/a.png", "env/lib/logo.png"])
    for name in ("run.json", "plan.toml"):
        (folder / "runs/first" / name).write_text("{}" if name == "run.json" else "")
    (folder / "env/pyvenv.cfg").write_text("")
    (folder / "weights").mkdir()
    (folder / "weights/best.txt").write_text("")


def kaggle_chest(folder: Path) -> None:
    """`chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}`, wrapped once more, as the archive unpacks."""
    names = [f"{name}/{n}.jpeg" for name in ("NORMAL", "PNEUMONIA") for n in range(3)]
    pictures(folder, [f"chest_xray/chest_xray/{split}/{name}" for split in ("train", "val", "test") for name in names])


def busi(folder: Path) -> None:
    """Ultrasound with masks beside the images, one of which has two."""
    mask = np.zeros((8, 9), np.uint8)
    mask[2:5, 3:6] = 255
    for name in ("benign", "malignant", "normal"):
        pictures(folder, [f"{name}/{name} ({n}).png" for n in (1, 2)])
        for ending in ("(1)_mask", "(2)_mask", "(1)_mask_1"):
            save(folder / f"{name}/{name} {ending}.png", mask)


def isic_one_hot(folder: Path) -> None:
    """A column a class; names of images without an ending, in a folder beside the table."""
    names = [f"ISIC_00{n:05}" for n in range(8)]
    pictures(folder, [f"ISIC_input/{name}.jpg" for name in names])
    rows = [f"{name},{','.join('1.0' if n % 4 == k else '0.0' for k in range(5))}" for n, name in enumerate(names)]
    sheet(folder / "truth.csv", "image,MEL,NV,BCC,AKIEC,UNK", rows)


def ham10000(folder: Path) -> None:
    """Names of diseases, and columns that describe the patient; images in two folders."""
    names = [f"HAM_{n:04}" for n in range(8)]
    pictures(folder, [f"part_{1 + n % 2}/{name}.jpg" for n, name in enumerate(names)])
    kinds = ("mel", "nv", "bcc", "nv")
    rows = [f"L{n // 2},{name},{kinds[n % 4]},histo,{50 + n}.0,male,back" for n, name in enumerate(names)]
    sheet(folder / "metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", rows)


def chexpert(folder: Path) -> None:
    """Paths that begin with the folder's own name; a column a finding; patient and view in columns of few values."""
    names = [f"valid/patient{n:05}/study1/view1_frontal.png" for n in range(8)]
    pictures(folder, names)
    rows = [
        f"{folder.name}/{name},{('Female', 'Male')[n % 2]},{50 + n},Frontal,AP,{float(n % 2)},{float(n % 3 == 0)},"
        f"{('', '-1.0')[n % 2]},0.0,{float(n % 2 == 0)}"
        for n, name in enumerate(names)
    ]
    sheet(
        folder / "valid.csv",
        "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema,Fracture,Pleural Effusion",
        rows,
    )


def nih(folder: Path) -> None:
    """Findings of an image in one cell, with bars between them."""
    cells = ("No Finding", "Effusion|Mass", "Effusion", "Mass|Nodule|Edema")
    pictures(folder, [f"images/{n:08}_000.png" for n in range(8)])
    rows = [f"{n:08}_000.png,{cells[n % 4]},{n % 2},{n // 2},{40 + n},M,PA" for n in range(8)]
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    sheet(folder / "Data_Entry_2017.csv", header, rows)


def padchest(folder: Path) -> None:
    """Findings as the text of a list, beside an index without a name."""
    cells = ("['normal']", "['effusion', 'mass']", "['effusion']", "['mass', 'nodule']")
    pictures(folder, [f"scans/{n}.png" for n in range(8)])
    rows = [f'{n},{n}.png,"{cells[n % 4]}",P{n // 2},PA' for n in range(8)]
    sheet(folder / "padchest.csv", ",ImageID,Labels,PatientID,Projection", rows)


def aptos(folder: Path) -> None:
    """Grades of identifiers, a table of images without labels, and the form of an answer."""
    pictures(folder, [f"train_images/{n:06x}.png" for n in range(8)] + [f"test_images/9{n:05x}.png" for n in range(4)])
    sheet(folder / "train.csv", "id_code,diagnosis", [f"{n:06x},{n % 4}" for n in range(8)])
    sheet(folder / "test.csv", "id_code", [f"9{n:05x}" for n in range(4)])
    sheet(folder / "sample_submission.csv", "id_code,diagnosis", [f"9{n:05x},0" for n in range(4)])


def semicolons(folder: Path) -> None:
    """A table with semicolons, an index, and a tab-separated one of other things."""
    pictures(folder, [f"{n}.png" for n in range(6)])
    rows = [f"{n};{n}.png;{('sick', 'normal')[n % 2]}" for n in range(6)]
    sheet(folder / "labels.csv", "Unnamed: 0;file;label", rows)
    sheet(folder / "notes.tsv", "day\tnote", ["1\tnothing", "2\tnothing"])


def chest_mnist(folder: Path) -> None:
    """An archive with fourteen findings an image."""
    labels = np.random.default_rng(0).integers(0, 2, (6, 14), dtype=np.uint8)
    np.savez(folder / "chestmnist.npz", test_images=noise(6, 8, 8), test_labels=labels)


def organ_mnist_3d(folder: Path) -> None:
    """An archive of volumes."""
    labels = np.arange(6)[:, None] % 3
    np.savez(folder / "organmnist3d.npz", test_images=noise(6, 8, 8, 8), test_labels=labels)


Layout = tuple[Callable[[Path], None], int, dict[str, object]]
"""Writes the images; outputs of the network; what the plan that `init` writes is expected to hold."""

LAYOUTS: dict[str, Layout] = {
    "class folders beside runs": (beside_runs, 2, {"folders": ".", "classes": ("NORMAL", "PNEUMONIA"), "images": 8}),
    "kaggle": (
        kaggle_chest,
        2,
        {"folders": "chest_xray/chest_xray/test", "disease": ("PNEUMONIA",), "images": 6},
    ),
    "isic": (isic_one_hot, 5, {"label": ("MEL", "NV", "BCC", "AKIEC", "UNK"), "kind": "multiclass", "images": 8}),
    "ham10000": (ham10000, 3, {"label": "dx", "classes": ("bcc", "mel", "nv"), "images": 8, "group": "lesion_id"}),
    "chexpert": (
        chexpert,
        5,
        {"findings": ("No Finding", "Cardiomegaly", "Edema", "Fracture", "Pleural Effusion"), "images": 8},
    ),
    "nih": (
        nih,
        4,
        {
            "separator": "|",
            "ignored": ("No Finding",),
            "findings": ("Edema", "Effusion", "Mass", "Nodule"),
            "group": "Patient ID",
            "images": 8,
        },
    ),
    "padchest": (
        padchest,
        3,
        {"separator": ",", "ignored": ("normal",), "findings": ("effusion", "mass", "nodule"), "images": 8},
    ),
    "aptos": (aptos, 4, {"table": "train.csv", "kind": "ordinal", "images": 8}),
    "semicolons": (semicolons, 2, {"table": "labels.csv", "label": "label", "disease": ("sick",), "images": 6}),
    "chestmnist": (chest_mnist, 14, {"kind": "multilabel", "medmnist": "chestmnist.npz", "images": 6}),
    "organmnist3d": (organ_mnist_3d, 3, {"kind": "multiclass", "medmnist": "organmnist3d.npz", "images": 6}),
}
