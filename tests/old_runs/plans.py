"""The plans of the old runs, and many more whose identities alone are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

CONTRAST = 'factory = "model.py:contrast"\nbounds = [0, 255]'
MEANS = 'factory = "model.py:means"\nbounds = [0, 255]'
GREY = 'table = "grey.csv"\nwhere = {split = "test"}'
SQUARES = 'table = "squares.csv"\nmask = "mask"\nvalues = [255]\nspacing = [2.0, 1.0]'
GRADES = 'kind = "ordinal"\nclasses = ["none", "mild", "severe"]\ndisease = ["mild", "severe"]'
ILLNESS = 'kind = "binary"\nclasses = ["healthy", "ill"]\ndisease = ["ill"]'
CELLS = 'kind = "segmentation"\nstructures = ["square"]'
PAIR = 'kind = "segmentation"\nstructures = ["square", "core"]'
LINF = 'norm = "linf"\neps = ["6/255", "16/255"]'


def plan(
    attacks: Sequence[str],
    *,
    model: str = CONTRAST,
    data: str = GREY,
    task: str = GRADES,
    threat: str = LINF,
    more: str = "",
    run: str = "",
) -> str:
    """A plan as text; each attack is its name and its other fields, one a line."""
    tables = "".join(
        f'[[attacks]]\nname = "{number}"\nattack = "{name}"\n{fields}\n'
        for number, (name, _, fields) in enumerate((attack.partition("\n") for attack in attacks), start=1)
    )
    return (
        f"[model]\n{model}\n\n[data]\n{data}\n\n[task]\n{task}\n\n[threat]\n{threat}\n\n{tables}\n{more}\n"
        f'[run]\nlayout = "contiguous"\n{run}\n'
    )


SHORT = """[survival]
after = ["jpeg75", "blur1"]
[stability]
images = 2
starts = 2
"""
RUNS = {
    "grades": 'title = "Grades"\nseed = 3\n'
    + plan(
        (
            "pgd\nsteps = 3\nrestarts = 2",
            'smia\nsteps = 2\ngoal = "hide disease"',
            'smia\nsteps = 2\nweight = 0.8\nsmooth = "perturbation"\nthrough = true',
            "smia-reference\nsteps = 2\nweight = 0.2",
            'apgd-margin\nsteps = 3\nrobust_to = ["jpeg75"]',
            'square\nqueries = 4\ngoal = "invent disease"',
        ),
        model='factory = "model.py:layers"\nweights = "weights.safetensors"\nbounds = [0, 255]\n'
        "[model.preprocess]\nmean = [127.5]\nstd = [127.5]",
        data=GREY + '\ngroup = "patient"\nsite = "site"\nscanner = "scanner"',
        more=SHORT + '[[gates]]\nmetric = "clean_accuracy"\nat_least = 0.1\n',
        run="batch = 3\nshard = 8",
    ),
    "confined": plan(
        ("pgd\nsteps = 3", 'smia\nsteps = 2\ngoal = "towards: severe"'),
        data=GREY + '\nregion = "inner"',
        threat=LINF + '\nlattice = true\nregion = ["inside column"]\nsmooth = 1.0',
        more=SHORT,
        run='batch = 4\nshard = 8\ncurve = "bisect"',
    ),
    "masks": plan(
        (
            "dice-pgd\nsteps = 3",
            'asma\nsteps = 3\ngoal = "erase: square"',
        ),
        model='torchscript = "threshold.ts"\nbounds = [0, 255]',
        data=SQUARES,
        task=CELLS + "\nfloor = 0.6",
        threat='norm = "linf"\neps = [20, 40]',
        more=SHORT,
        run="shard = 32",
    ),
    "boxes": plan(
        ("noise\ntries = 2", 'pgd\nsteps = 3\ngoal = "vanish"'),
        model='factory = "model.py:cells"\nbounds = [0, 255]',
        data='table = "squares.csv"\nboxes = "boxes.csv"',
        task='kind = "detection"\nclasses = ["square"]',
        threat='norm = "linf"\neps = [20, 40]',
        more=SHORT,
    ),
    "findings": plan(
        ("segpgd\nsteps = 3", 'pgd\nsteps = 3\ngoal = "miss: upper"'),
        model='factory = "model.py:halves"\nbounds = [0, 255]',
        data='table = "squares.csv"',
        task='kind = "multilabel"\nfindings = ["upper", "lower"]',
        threat='norm = "l2"\neps = [100.0, 300.0]',
        more=SHORT + '[export]\nimages = "all"',
        run="batch = 3\nshard = 3",
    ),
}
"""Plans that commit 18eab80 carried out."""

CLASS_ATTACKS = (
    *("noise", "square", "fgsm", "bim", "pgd", "mi", "ni", "ti", "di", "apgd-ce", "apgd-margin"),
    *("smia", "smia-reference", "steadfast"),
)
DENSE_ATTACKS = (*CLASS_ATTACKS, "segpgd", "cospgd", "dag")
MASK_ATTACKS = (*DENSE_ATTACKS, "dice-pgd", "vafa")
LINF_ONLY = ("square", "smia-reference", "dag", "vafa")
UNPROJECTED = ("smia-reference", "vafa")
CHANGED = (
    "noise\ntries = 7",
    "square\nqueries = 9\np_init = 0.4\nrun_to_end = true",
    "bim\nsteps = 7\nstep = 0.3\nrun_to_end = true",
    "pgd\nsteps = 7\nstep = 0.3\nrestarts = 3\nrun_to_end = true",
    "mi\nsteps = 7\ndecay = 0.5\nstep = 0.3",
    "ni\nsteps = 7\ndecay = 0.5\nstep = 0.3",
    "ti\nsteps = 7\nsize = 5\nsigma = 2.0\nstep = 0.3",
    "di\nsteps = 7\nsmallest = 0.7\nprobability = 0.9\nstep = 0.3",
    "apgd-ce\nsteps = 7\nrestarts = 3\nrun_to_end = true",
    "apgd-margin\nsteps = 7\nrestarts = 3\nscaled = true",
    'smia\nsteps = 7\nweight = 0.3\nsmooth = "image"\nthrough = true\nsize = 5\nsigma = 2\nstep = 1',
    'smia\nsmooth = "perturbation"\nagreement = "label"',
    "smia-reference\nsteps = 7\nweight = 0.5",
    "steadfast\nsteps = 7\nsigma = 2.0\nweight = 1.0\nstep = 1.0",
)
CHANGED_DENSE = (
    'segpgd\nsteps = 7\nstep = 0.3\nrandom_start = false\nreference = "own"',
    'cospgd\nsteps = 7\nstep = 0.3\nrandom_start = false\nreference = "own"',
    'dag\nsteps = 7\nstep = 2.0\nreference = "own"',
)
CHANGED_MASKS = (
    *CHANGED_DENSE,
    'dice-pgd\nsteps = 7\nstep = 0.3\nrandom_start = false\nreference = "own"',
    "vafa\nsteps = 7\nstep = 0.3\nblock = 4",
)
HANDLINGS = (
    *("rounded", "8bit", "jpeg2000", "jpeg2000-20", "jpeg90", "jpeg75", "half", "resample0.75"),
    *("rewindow", "rewindow1.2", "blur1", "blur0.5"),
)
STEPS = (
    "{rescale = {slope = 2.0, intercept = -10.0}}, {window = [-20, 500]}, {clip = [0, 1]}",
    "{window = {centre = 128, width = 256}}, {invert = [0, 1]}, {invert = {low = 0, high = 1}}",
    "{resample = [1.0, 1.0]}, {resize = [10, 10]}, {pad = [14, 14]}, {centre_crop = [9, 9]}",
    "{crop_to_body = {threshold = 10, margin = 1, size = [8, 8]}}, {rgb = 3}",
    "{normalise = {mean = [1.0], std = [2.0]}}, {reorder = {axes = [1, 0]}}, {reorder = {axes = [1, 0], flip = [1]}}",
    '{per_image = "zscore"}, {rescale = {slope = 60, intercept = 120}}',
    '{per_image = {how = "percentile", low = 1, high = 99, nonzero = true, channelwise = true}}',
)


def goal(text: str, *attacks: str) -> Iterator[str]:
    """Attacks with a goal."""
    return (f'{attack}\ngoal = "{text}"' for attack in attacks)


def _classes() -> Iterator[tuple[str, str]]:
    yield "classes", plan(CLASS_ATTACKS)
    yield "classes, changed attacks", plan(CHANGED)
    round_balls = [name for name in CLASS_ATTACKS if name not in LINF_ONLY]
    for norm in ("l2", "l1"):
        yield f"classes, {norm}", plan(round_balls, threat=f'norm = "{norm}"\neps = [50, 100.5]')
    words = ("hide disease", "invent disease", "towards: mild", "towards: severe", "towards: none")
    aimed = [one for text in words for one in goal(text, *CLASS_ATTACKS)]
    yield "classes, goals", plan(aimed)
    for form, head in (("cumulative", "cumulative"), ("softmax", "softmax")):
        model = f'{CONTRAST}\narguments = {{form = "{form}"}}'
        yield f"grades, {head}", plan(aimed[::4], model=model, task=f'{GRADES}\nhead = "{head}"')
    for more in ("", "\nthreshold = 0.3"):
        model = f'{MEANS}\narguments = {{form = "one-logit"}}'
        task = f'{ILLNESS}\nhead = "one-logit"{more}'
        own = [*CLASS_ATTACKS, *goal("hide disease", "pgd", "smia")]
        yield f"one logit{more.strip()}", plan(own, model=model, task=task, data='table = "colour.csv"')
    multiclass = 'kind = "multiclass"\nclasses = ["a", "b", "c"]'
    yield "no disease", plan((*CLASS_ATTACKS, *goal("towards: b", "pgd", "square")), task=multiclass)


def _threats() -> Iterator[tuple[str, str]]:
    own = [name for name in CLASS_ATTACKS if name not in UNPROJECTED]
    for name, fields in {
        "lattice": "lattice = true",
        "smooth": "smooth = 2.0",
        "body": 'region = ["inside body"]',
        "text": 'region = ["outside text"]',
        "column": 'region = ["inside column"]\nlattice = true',
        "two": 'region = ["inside body", "outside column"]\nsmooth = 1',
    }.items():
        data = GREY + ('\nregion = "inner"' if "column" in fields else "")
        yield f"confined, {name}", plan(own, threat=f"{LINF}\n{fields}", data=data)
    colour = 'table = "colour.csv"'
    wide = [name for name in own if name not in LINF_ONLY]
    for norm, fields in (("l2", "tied = true"), ("l1", "channels = [1, 0.5, 0]"), ("l2", "tied = true\nsmooth = 1.5")):
        threat = f'norm = "{norm}"\neps = [60.0]\n{fields}'
        yield f"confined, {norm}, {fields}", plan(wide, threat=threat, data=colour, model=MEANS, task=ILLNESS)
    window = CONTRAST + "\n[model.preprocess]\nsteps = [{window = [20, 220]}, {rescale = {slope = 255}}]"
    for name, eps in {"number": "4", "fraction": '"4/255"', "percent": '"1.5%"', "step": '"3 stored steps"'}.items():
        yield f"eps, {name}", plan(("pgd",), threat=f'norm = "linf"\neps = [{eps}]')
    yield "eps, window", plan(("pgd",), threat='norm = "linf"\neps = ["2% of window"]', model=window)
    ct = MEANS.replace("[0, 255]", "[-1024, 3071]") + "\narguments = {centres = [-40.0, 60.0]}"
    for eps in ("5 HU", "1 stored step", "0.5%"):
        threat = f'norm = "linf"\neps = ["{eps}"]'
        data = 'table = "ct.csv"\ngroup = "dicom"'
        yield f"eps, ct, {eps}", plan(("pgd", "noise"), threat=threat, model=ct, data=data, task=ILLNESS)
    grey = GREY + '\nunit = "HU"\nspacing = [0.5, 0.7]'
    yield "eps, unit", plan(("pgd",), threat='norm = "linf"\neps = ["5 HU"]', data=grey)


def _handled() -> Iterator[tuple[str, str]]:
    single = [f'{attack}\nrobust_to = ["{name}"]' for attack in ("pgd", "steadfast") for name in HANDLINGS]
    yield "robust to", plan([*single, 'smia\nrobust_to = ["jpeg75", "blur1"]', 'apgd-ce\nrobust_to = ["half"]'])
    for name in HANDLINGS:
        yield f"survival, {name}", plan(("pgd",), more=f'[survival]\nafter = ["{name}"]')
    yield "survival, none", plan(("pgd",), more="[survival]\nafter = []\nsaved = false")
    yield "survival, unsaved", plan(("pgd",), more="[survival]\nsaved = false")


def _runs() -> Iterator[tuple[str, str]]:
    for curve in ("rising", "bisect", "each"):
        yield f"curve, {curve}", plan(("pgd", "square", "smia"), run=f'curve = "{curve}"')
    yield "mixed", plan(("pgd",), run='precision = "mixed"')
    yield "shards", plan(("pgd", "noise"), run="batch = 2\nshard = 3")
    yield "seed", "seed = 77\n" + plan(("pgd", "noise"))
    yield "limit", "seed = 5\n" + plan(("pgd",), data=GREY + "\nlimit = 5")
    yield "grouped", plan(("pgd",), data=GREY + '\ngroup = "patient"\nsite = "site"\nscanner = "scanner"')


def _models() -> Iterator[tuple[str, str]]:
    scaled = "[model.preprocess]\nmean = [127.5]\nstd = [127.5]"
    for name, model in {
        "safetensors": 'factory = "model.py:layers"\nweights = "weights.safetensors"',
        "torch file": 'factory = "model.py:layers"\nweights = "weights.pt"\narguments = {width = 4}',
        "torchscript": 'torchscript = "layers.ts"',
    }.items():
        yield f"model, {name}", plan(("pgd",), model=f"{model}\nbounds = [0, 255]\n{scaled}")
    probabilities = CONTRAST + '\narguments = {form = "probabilities"}\noutputs = "softmax"'
    yield "model, probabilities", plan(("pgd",), model=probabilities)
    for number, steps in enumerate(STEPS):
        data = GREY + ("\nspacing = [1.0, 1.2]" if "resample" in steps else "")
        model = f"{CONTRAST}\n[model.preprocess]\nsteps = [{steps}]"
        yield f"steps, {number}", plan(("pgd",), model=model, data=data)
    simple = "size = [20, 18]\nchannels = 3\nmean = [1.0, 2.0, 3.0]\nstd = [1.0, 1.0, 2.0]"
    yield "preprocess", plan(("pgd",), model=f"{CONTRAST}\n[model.preprocess]\n{simple}")
    for more in ("", "\nstraight_through = true"):
        composed = f'{CONTRAST}\n[model.preprocess]\nmonai = "composed.py:compose"{more}'
        yield f"monai{more.strip()}", plan(("pgd",), model=composed)


def _dense() -> Iterator[tuple[str, str]]:
    cells = 'factory = "model.py:cells"\nbounds = [0, 255]'
    boxes = 'table = "squares.csv"\nboxes = "boxes.csv"'
    detection = 'kind = "detection"\nclasses = ["square"]'
    aims = ("vanish", "vanish: square", "fabricate", "fabricate: square", "mislabel")
    aimed = [one for text in aims for one in goal(text, "pgd", "smia", "segpgd", "dag", "square")]
    yield "detection", plan((*DENSE_ATTACKS, *CHANGED_DENSE), model=cells, data=boxes, task=detection)
    softmax = f"{cells}\narguments = {{classes = 2, nothing = true}}"
    task = 'kind = "detection"\nclasses = ["square", "disc"]\nhead = "softmax"'
    task += "\nconfidence = 0.4\noverlap = 0.6\nsuppression = 0.7\nfloor = 0.3"
    yield "detection, goals", plan(aimed, model=softmax, data=boxes, task=task)
    halves = 'factory = "model.py:halves"\nbounds = [0, 255]'
    findings = 'kind = "multilabel"\nfindings = ["upper", "lower"]'
    aims = ("all findings", "miss: upper", "miss: upper, lower", "invent: lower", "invent: lower, upper")
    aimed = [one for text in aims for one in goal(text, "pgd", "smia", "cospgd", "dag", "square")]
    data = 'table = "squares.csv"'
    yield "multilabel", plan((*DENSE_ATTACKS, *CHANGED_DENSE), model=halves, data=data, task=findings)
    yield "multilabel, goals", plan(aimed, model=halves, data=data, task=f"{findings}\nthresholds = [0.4, 0.6]")


def _masks() -> Iterator[tuple[str, str]]:
    pixels = 'factory = "model.py:threshold"\nbounds = [0, 255]'
    yield "masks", plan((*MASK_ATTACKS, *CHANGED, *CHANGED_MASKS), model=pixels, data=SQUARES, task=CELLS)
    own = ("pgd", "smia", "dice-pgd", "segpgd", "asma", "dag", "square", "vafa")
    both = 'table = "squares.csv"\nmask = "pair"\nfield = "field"'
    aims = ("erase: core", "erase: core, into square", "insert: core, radius 3, at 0.5 0.4")
    aims = (*aims, "swap: square, core", "move: 0 3")
    aimed = [one for text in aims for one in goal(text, *own)]
    exclusive = 'factory = "model.py:structures"\nbounds = [0, 255]'
    yield "masks, goals", plan(aimed, model=exclusive, data=f"{both}\nspacing = [2.0, 1.0]", task=PAIR)
    task = f'{PAIR}\nscore = "iou"\nfloor = 0.3\nstructure = "core"\nresample = true\ntolerance = 2.5'
    yield "masks, iou", plan(MASK_ATTACKS, model=exclusive, data=f"{both}\nignore_value = 7", task=task)
    overlap = 'factory = "model.py:overlapping"\nbounds = [0, 255]'
    data = 'table = "squares.csv"\nmask = ["mask1", "mask2"]\nvalues = [255, 255]'
    task = f"{PAIR}\nexclusive = false\nthreshold = 0.4"
    yield "masks, overlapping", plan(MASK_ATTACKS, model=overlap, data=data, task=task)
    shown = SQUARES + '\nwhere = {shown = "yes"}'
    for region in ("inside square", "outside square"):
        threat = f'{LINF}\nregion = ["{region}"]'
        yield f"masks, {region}", plan(("pgd", "dice-pgd"), model=pixels, data=shown, task=CELLS, threat=threat)
    for name, inferer in {
        "whole": "",
        "windows": "[model.inferer]\nsize = [8, 8, 8]\nflips = [[0], [0, 1]]",
        "windows, set": '[model.inferer]\nsize = [8, 8, 8]\noverlap = 0.25\nmode = "constant"\nsigma_scale = 0.2\n'
        'padding = "reflect"\nflips = [[2]]\naverage = "sigmoid"\nflipped = "windows"',
    }.items():
        data = 'table = "volumes.csv"\nmask = "mask"'
        own = ("pgd", "vafa", "smia", *goal("shift: square, 0.1 ml", "pgd", "dice-pgd"))
        own = (*own, *goal("insert: square, radius 3, at 0.5 0.4 0.5", "asma"))
        yield f"volumes, {name}", plan(own, model=f"{pixels}\n{inferer}", data=data, task=CELLS)


def _layouts() -> Iterator[tuple[str, str]]:
    pixels, cells = (f'factory = "model.py:{name}"\nbounds = [0, 255]' for name in ("threshold", "cells"))
    masks, boxes = 'kind = "segmentation"\nstructures = ["box"]', 'kind = "detection"\nclasses = ["box"]'
    for name, data in {
        "folders": 'folders = "folders"',
        "medmnist": 'medmnist = "mnist.npz"',
        "jpg": 'table = "jpg.csv"',
        "nrrd": 'table = "nrrd.csv"',
    }.items():
        yield f"layout, {name}", plan(("pgd", "noise"), model=MEANS, data=data, task=ILLNESS)
    deep = 'factory = "model.py:means"\narguments = {centres = [15000.0, 30000.0], width = 4000.0}\nbounds = [0, 65535]'
    for name in ("sixteen", "tif"):
        yield f"layout, {name}", plan(("pgd",), model=deep, data=f'table = "{name}.csv"', task=ILLNESS)
    for name, data in {
        "nnunet": 'nnunet = "Dataset001_Box"',
        "datalist": 'datalist = "masks.json"',
        "coco": 'coco = "coco.json"',
    }.items():
        yield f"layout, {name}, masks", plan(("pgd",), model=pixels, data=data, task=masks)
    for name, data in {
        "datalist": 'datalist = "boxes.json"\nbox_mode = "xywh"',
        "coco": 'coco = "coco.json"',
        "voc": 'voc = "voc"\ndifficult = true',
    }.items():
        yield f"layout, {name}, boxes", plan(("pgd",), model=cells, data=data, task=boxes)


KEPT = dict(
    pair for part in (_classes, _threats, _handled, _runs, _models, _dense, _masks, _layouts) for pair in part()
)
"""Plans by name, of which commit 18eab80 says the identities alone."""
