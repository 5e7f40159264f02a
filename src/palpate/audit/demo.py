"""The demo: an audit's folder as a user would have it, with phantoms for images and a small classifier."""

from __future__ import annotations

import json
from pathlib import Path

from palpate.data.phantoms.folder import write_fundus_folder
from palpate.errors import StorageError
from palpate.models.demo import CLASSES, DISEASE, MEAN, STD
from palpate.runs import write_atomically

IMAGES = 60
"""Phantoms, twelve of each grade."""
SEED = 2024
"""Of the phantoms; the classifier was trained on others."""

_OURS = {"images", "labels.csv", "model.py", "plan.toml", "runs"}


def write_demo(folder: Path, images: int = IMAGES) -> Path:
    """Write phantoms with labels, a model file and a plan, and return the plan's path.

    A plan that is there is left as it is, with all that belongs to it, so that a changed demo can be run again.

    Raises:
        StorageError: the folder holds other things, or cannot be written.
    """
    plan = folder / "plan.toml"
    if plan.is_file():
        return plan
    try:
        strange = sorted(path.name for path in folder.iterdir() if path.name not in _OURS) if folder.exists() else []
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror}. Choose another folder with --out.") from error
    if strange:
        raise StorageError(
            f"{folder} holds other things than the demo ({', '.join(strange[:3])}). Choose another folder with --out."
        )
    write_fundus_folder(folder, images, SEED)
    write_atomically(folder / "model.py", _MODEL.encode())
    # Written last: where it stands, everything else does.
    write_atomically(plan, _plan().encode())
    return plan


_MODEL = '''\
"""The model under test. Any function that returns a torch.nn.Module will do in its place."""

from palpate.models.demo import load


def build():
    """A small ordinary network that grades phantoms; it was never shown adversarial images."""
    return load()
'''


def _plan() -> str:
    attacks = "".join(_attack(*row) for row in _ATTACKS)
    return _HEAD + attacks + _GATES


def _attack(attack: str, goal: str, settings: str) -> str:
    named = f'name = "{attack}: {goal}"\ngoal = "{goal}"\n' if goal else ""
    return f'[[attacks]]\nattack = "{attack}"\n{named}{settings}\n'


_HEAD = f"""\
# The plan of palpate's demo. Change what you like and run it again:
#     palpate audit plan.toml --update

title = "Demo: grading of retinopathy on digital fundus phantoms"
seed = 0

[model]
factory = "model.py:build"
bounds = [0, 255]  # what the images can store: 8 bits

[model.preprocess]  # (stored value - mean) / std, part of the model under attack
mean = {list(MEAN)}
std = {list(STD)}

[data]
table = "labels.csv"
label = "grade"

[task]
kind = "ordinal"
classes = {json.dumps(CLASSES)}
disease = {json.dumps([CLASSES[index] for index in DISEASE])}  # referable

[threat]
norm = "linf"  # every stored value may change by at most eps
# In steps of 8 bits. Changes below half a step are lost where the image is stored with 8 bits again; such budgets
# show how close to its images a network that was never shown adversarial images decides otherwise.
eps = ["0.25/255", "0.5/255", "0.75/255", "1/255", "2/255", "4/255"]

# All attacks that palpate knows, with fewer steps than a real audit would give them (`palpate list attacks`).
"""

_ATTACKS = (
    ("noise", "", "tries = 5\n"),
    ("fgsm", "", ""),
    ("bim", "", "steps = 10\n"),
    ("pgd", "", "steps = 10\n"),
    ("mi", "", "steps = 10\n"),
    ("ni", "", "steps = 10\n"),
    ("ti", "", "steps = 10\n"),
    ("di", "", "steps = 10\n"),
    ("apgd-ce", "", "steps = 10\n"),
    ("apgd-margin", "", "steps = 10\n"),
    ("smia", "", "steps = 10\n"),
    (
        "smia-reference",
        "",
        "steps = 3  # each of a whole radius and never projected: it leaves its budget, and says so\n",
    ),
    ("smia", "hide disease", "steps = 10\n"),
    ("smia", "invent disease", "steps = 10\n"),
)

_GATES = """\
[[gates]]  # `palpate audit` ends with status 1 where a gate fails
metric = "clean_accuracy"
at_least = 0.8
"""
