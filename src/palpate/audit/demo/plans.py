"""The demo's three plans and model files, as texts."""

from __future__ import annotations

import json

from palpate.artefacts import catalog
from palpate.data.phantoms.folder import OFFSET
from palpate.models.demo import endoscopy as demo_endoscopy
from palpate.models.demo import fundus as demo
from palpate.models.demo import thorax as demo_thorax

_Attacks = tuple[tuple[str, str, str], ...]

HINT = """\
# A plan of palpate's demo. Change what you like and run it again:
#     palpate audit plan.toml --update
"""


def model_file(module: str, what: str) -> str:
    """A `model.py` that builds one of the demo's networks."""
    return f'''\
"""The model under test. Any function that returns a torch.nn.Module can replace it."""

from palpate.models.{module} import load


def build():
    """A small ordinary network that {what}; it was never shown adversarial images."""
    return load()
'''


def _attacks(rows: _Attacks) -> str:
    return "".join(_attack(*row) for row in rows)


def _attack(attack: str, goal: str, settings: str) -> str:
    named = f'name = "{attack}: {goal}"\ngoal = "{goal}"\n' if goal else ""
    return f'[[attacks]]\nattack = "{attack}"\n{named}{settings}\n'


def _artefact(name: str) -> str:
    """One artefact with a search of 19 questions for each image; by default there are 181."""
    said = (
        f"# What happens without an adversary: {catalog.find(name).summary[0].lower()}{catalog.find(name).summary[1:]}"
    )
    settings = "draws = 1\ntries = 4\nevolution = 6\npolish = 0\nbisection = 4\n"
    return (
        f"{said} The search is short here (`palpate list artefacts {name}`).\n"
        f'[[artefacts]]\nartefact = "{name}"\n{settings}\n'
    )


def _few(probed: int) -> str:
    """Traces and probes of fewer images than by default: probes of masks and boxes take as long as their attacks."""
    return f"""\
# A real audit leaves out these two tables. It then traces up to 4 images of each attack, and probes up to 8
# of each goal.
[stability]
images = 2

[quality]
images = {probed}
share = 1.0

"""


def _strings(names: tuple[str, ...] | list[str]) -> str:
    return json.dumps(names, ensure_ascii=False)


CLASSIFICATION = (
    f"""\
{HINT}
title = "Demo: grading of retinopathy on digital fundus phantoms"
seed = 0

[model]
factory = "model.py:build"
bounds = [0, 255]  # what the images can store: 8 bits

[model.preprocess]  # (stored value - mean) / std, part of the model under attack
mean = {list(demo.MEAN)}
std = {list(demo.STD)}

[data]
table = "labels.csv"
label = "grade"
modality = "fundus"

[task]
kind = "ordinal"
classes = {_strings(demo.CLASSES)}
disease = {_strings([demo.CLASSES[index] for index in demo.DISEASE])}  # referable

[threat]
norm = "linf"  # every stored value may change by at most eps
# In steps of 8 bits. The first budget is one step, the smallest change that a file can store: it shows how little is
# enough for a network that was never shown adversarial images.
eps = ["1/255", "2/255", "4/255"]
main = "1/255"  # the budget of the report's first sentence; by default the middle one

# `strongest` decides the figures. The others have fewer steps than in a real audit (`palpate list attacks`), which also
# gives `strongest` the two clinical goals.
"""
    + _attacks(
        (
            ("strongest", "", ""),
            ("noise", "", "tries = 5\n"),
            ("fgsm", "", ""),
            ("smia", "", "steps = 10\n"),
            ("steadfast", "", "steps = 10\n"),
            ("smia", "hide disease", "steps = 10\n"),
            ("smia", "invent disease", "steps = 10\n"),
        )
    )
    + _artefact("dust")
    + f"""\
[survival]  # in addition to saving and reading again; a real audit measures more (`palpate list post-processing`)
after = ["8bit", "jpeg75", "blur1"]

[run]
curve = "bisect"  # each image searches for the smallest budget that beats it

{_few(2)}[[gates]]  # `palpate audit` ends with status 1 where a gate fails
metric = "clean_accuracy"
at_least = 0.8

# `palpate harden plan.toml` trains the network against attacks, on other phantoms than those of the audit. An epoch
# that costs more than `lose_at_most` of the clean accuracy is never chosen; one of 30 images is already 3 points.
[harden]
eps = "1/255"
epochs = 4
batch = 16
rate = 1e-3
lose_at_most = 0.05
validation_limit = 30
judge_settings = {{steps = 10}}

[harden.data]
table = "training/labels.csv"
"""
)

SEGMENTATION = (
    f"""\
{HINT}
title = "Demo: lungs and pneumonic lesions on digital CT phantoms"
seed = 0

[model]
factory = "model.py:build"
bounds = [-1024, 3071]  # what a scanner stores: 12 bits, in Hounsfield units

[model.preprocess]  # (stored value - mean) / std, part of the model under attack
mean = {[mean - OFFSET for mean in demo_thorax.MEAN]}
std = {list(demo_thorax.STD)}

[data]
table = "images.csv"
file = "image"
mask = "mask"
values = [1, 2, 3]  # stored value of each structure
spacing = [2.75, 2.75]  # mm
unit = "HU"  # so these are images of CT; a TIFF does not say it, DICOM files do

[task]
kind = "segmentation"
structures = {_strings(demo_thorax.STRUCTURES)}
score = "dice"
floor = 0.8  # beaten if the mean Dice of the image's structures is at or below this

[threat]
norm = "linf"  # every stored value may change by at most eps
# Each stored step is one Hounsfield unit here; the scanner's own noise has a deviation of 14 to 40.
eps = ["24 stored steps", "32 stored steps", "64 stored steps"]
lattice = true  # only values that the files can store: saving does not change what an attack finds

# `strongest` decides which images are beaten; `smia` goes on to its last step at every budget and shows how far the
# score falls. Fewer steps than a real audit gives it (`palpate list attacks`).
"""
    + _attacks(
        (
            ("strongest", "", 'curve = "bisect"\n'),
            ("noise", "", "tries = 5\n"),
            ("smia", "", "steps = 10\n"),
            ("apgd-margin", "erase: lesion", "steps = 10\n"),
        )
    )
    + _artefact("metal")
    + f"""\
[survival]  # in addition to saving and reading again; a real audit measures more (`palpate list post-processing`)
after = ["8bit", "jpeg75", "blur1"]

{_few(0)}[[gates]]  # `palpate audit` ends with status 1 where a gate fails
metric = "clean_score"
at_least = 0.8
"""
)

DETECTION = (
    f"""\
{HINT}
title = "Demo: artefacts on digital endoscopy phantoms"
seed = 0

[model]
factory = "model.py:build"
bounds = [0, 255]  # what the images can store: 8 bits

[model.preprocess]  # (stored value - mean) / std, part of the model under attack
mean = {list(demo_endoscopy.MEAN)}
std = {list(demo_endoscopy.STD)}

[data]
table = "images.csv"  # all images, also those without a box
file = "image"
boxes = "boxes.csv"
modality = "endoscopy"

[task]
kind = "detection"
classes = {_strings(demo_endoscopy.CLASSES)}
confidence = {demo_endoscopy.CONFIDENCE}  # boxes below it are not shown
overlap = 0.5  # from this overlap on, a box counts as a hit of an annotated box
floor = 0.5  # beaten if F1 is at or below this

[threat]
norm = "linf"  # every stored value may change by at most eps
eps = ["4/255", "6/255", "8/255"]

# `strongest` decides which images are beaten; `smia` goes on to its last step at every budget and shows how far the
# score falls. Fewer steps than a real audit gives it (`palpate list attacks`).
"""
    + _attacks(
        (
            ("strongest", "", 'curve = "bisect"\n'),
            ("noise", "", "tries = 5\n"),
            ("smia", "", "steps = 10\n"),
            ("apgd-margin", "vanish", "steps = 10\n"),
        )
    )
    + _artefact("lens-particles")
    + f"""\
[survival]  # in addition to saving and reading again; a real audit measures more (`palpate list post-processing`)
after = ["8bit", "jpeg75", "blur1"]

{_few(0)}[[gates]]  # `palpate audit` ends with status 1 where a gate fails
metric = "clean_score"
at_least = 0.7
"""
)
