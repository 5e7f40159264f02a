"""One row per image, attack and budget: the schema of `records/*.parquet`, in plain Python.

A record holds everything that is needed to recompute the figures of a report. It holds no times and no machine, so that
two runs of the same plan have the same bytes.

Lists are plain numbers; `run.json` says what each place means (`task.parts`, `task.measures`), per kind of task:

| task | `truth` | `clean_found`, `found` |
| --- | --- | --- |
| classification | empty | empty: see `label`, `prediction` |
| multi-label | 0, 1 or -1 (unknown) per finding | probability of each finding |
| segmentation | empty: see the measures | empty |
| detection | class, x1, y1, x2, y2 of each box, in turn | class, confidence, x1, y1, x2, y2 of each box, in turn |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

SCHEMA_VERSION = 4
"""Increased when a field is added, removed or changes its meaning; older readers refuse newer runs."""

OLDEST_SCHEMA = 3
"""Runs from this version on are read and continued: fields that were added since have the values of `ADDED`."""

IDENTITY_SCHEMA = 3
"""The part of a shard's identity that stands for the meaning of its fields; an added field does not change it."""

ADDED: Mapping[str, object] = {"stage": "", "stage_passes": ()}
"""Fields that records of version 3 do not have, and their values there."""

ATTACKED = "attacked"
"""The attack ran at this budget."""
CARRIED = "carried"
"""A smaller budget has beaten the image already; the same adversarial image counts for this budget too."""
TRANSFERRED = "transferred"
"""The last perturbation of another budget, scaled to this one, beat the image before the first step."""
HELD = "held"
"""Not attacked at this budget, because the image withstood a larger one (only with `curve = "bisect"`)."""
MINIMUM = "minimum"
"""Read from one search at the largest budget: the smallest change that it found for the image is, or is not, within
this budget (only in plans with `curve = "minimum"`)."""
SPENT = "spent"
"""Not attacked at this budget, because smaller or larger ones had spent the queries that the plan gives each image
(`query_budget`). The image is the best one of a smaller budget, or the clean one."""
NOT_ATTACKED = "not attacked"
"""The image was wrong before the attack, or the goal does not apply to its label."""


@dataclass(frozen=True, slots=True)
class Record:
    """The result of one attack on one image at one budget. Distances are in values (HU, stored numbers)."""

    image: str
    """Path of the image relative to the plan's data, or `archive.npz[17]`."""
    row: int
    """Position in the audited table, from 0."""
    group: str
    """Unit of resampling (a patient); the image itself if the plan names none."""
    site: str
    """Where the image was taken, from the plan's column; empty unless the plan names one."""
    scanner: str
    """Manufacturer and model, from the plan's column or the file; empty if they are not known."""
    spacing: tuple[float, ...]
    """Size of a pixel along each spatial axis in mm; empty if it is not known."""
    label: int
    """True class, from 0; -1 if the task is not a classification."""
    attack: str
    """Name of the attack in the plan."""
    item: str
    """Identity of the attack with all its parameters, goal and budgets (hexadecimal)."""
    goal: str
    """`untargeted`, `hide disease`, `invent disease`, `towards <class>`, `erase <structure>` and so on."""
    norm: str
    """`linf`, `l2` or `l1`."""
    eps: float
    """Radius of the ball in stored values."""
    clean_prediction: int
    """Class decided for the image as stored; -1 if the task is not a classification."""
    clean_right: bool
    """The decision for the image as stored is acceptable: the true class, or a score above the task's floor."""
    clean_score: float
    """Score of the decision for the image as stored: 1 or 0, mean Dice, F1; NaN if it is undefined."""
    clean_measures: tuple[float, ...]
    """The task's measures for the image as stored; NaN if undefined."""
    truth: tuple[float, ...]
    """The annotation; see above."""
    clean_found: tuple[float, ...]
    """What the model found in the image as stored; see above."""
    clean_margin: float
    """Margin of the image as stored; 0 or less: the goal was reached without an attack."""
    clean_disease_score: float
    """Probability of the disease classes for the image as stored; NaN if the plan names none."""
    eligible: bool
    """The goal applies to this label and the clean margin is above 0. Success rates count only these images."""
    prediction: int
    """Class decided for the adversarial image; -1 if the task is not a classification."""
    score: float
    """Score of the decision for the adversarial image, against the truth."""
    measures: tuple[float, ...]
    """The task's measures for the adversarial image."""
    found: tuple[float, ...]
    """What the model found in the adversarial image."""
    margin: float
    """Margin of the adversarial image; 0 or less: the attack succeeded."""
    disease_score: float
    """Probability of the disease classes for the adversarial image; NaN if the plan names none."""
    success: bool
    """Eligible, and the margin of the adversarial image is 0 or less."""
    first_success: int
    """Gradient step after which the attack first succeeded; 0 is its start, -1 means never."""
    evidence: str
    """`attacked`, `carried`, `transferred`, `held`, `minimum`, `spent` or `not attacked`."""
    linf: float
    """Largest change of one stored value."""
    l2: float
    """Euclidean length of the change."""
    l1: float
    """Sum of absolute changes."""
    psnr: float
    """Peak signal-to-noise ratio of the adversarial image against the clean one in dB, the range of values as peak;
    NaN if nothing changed."""
    ssim: float
    """Structural similarity of the two, 1 if nothing changed; NaN if the image is too small for it."""
    saved_linf: float
    """Largest difference between the adversarial image and the same image after saving and reading; NaN if it was not
    saved."""
    clean_handled: tuple[float, ...]
    """Margin of the *clean* image after each post-processing step of `run.json` (`handlings`); NaN if not measured."""
    clean_handled_scores: tuple[float, ...]
    """Score of the clean image after each step."""
    handled: tuple[float, ...]
    """Margin of the adversarial image, rounded to stored numbers, after each step; 0 or less: the success survived."""
    handled_scores: tuple[float, ...]
    """Score of the adversarial image after each step."""
    forwards: int
    """Forward passes for this image at this budget, including those that judge the result."""
    backwards: int
    """Backward passes for this image at this budget."""
    seed: int
    """Seed of this image's random numbers."""
    zero_gradient: bool
    """The gradient of the objective was zero at some step; the attack climbed the margin, or smaller logits."""
    blocked_gradient: bool
    """The margin's gradient was zero too: this attack has no gradient to follow."""
    non_finite: bool
    """The model returned NaN or infinity for an iterate."""
    stage: str = ""
    """Of an attack of several stages, the first that beat the image; empty if none did, and for other attacks."""
    stage_passes: tuple[float, ...] = ()
    """Forward plus backward passes of each stage, in the order of `stages` in `run.json`; empty for other attacks."""


FIELD_NAMES = tuple(field.name for field in fields(Record))
