"""One row per image, artefact and set of parameters: the schema of `artefacts/*.parquet`, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, fields

ARTEFACT_VERSION = 1
"""Increased when a field is added, removed or changes its meaning."""

CLEAN = "clean"
"""The image as stored; one row per image, at severity 0."""
RANDOM = "random"
"""A random artefact of a severity; `draws` rows per image at each of the severities 1 to 5."""
WORST_OF = "worst of"
"""The worst of `tries` random artefacts at the severity that is searched; one row per image."""
FOUND = "found"
"""The worst artefact that the whole search found at that severity; one row per image."""
FAILING = "failing"
"""The smallest severity found at which the image fails; no row for an image that never failed."""


@dataclass(frozen=True, slots=True)
class ArtefactRow:
    """The model's decision for one image with one artefact. Distances are in values (HU, stored numbers)."""

    image: str
    """Path of the image, as in the records."""
    row: int
    """Position in the audited table, from 0."""
    group: str
    """Unit of resampling (a patient), as in the records."""
    site: str
    """Where the image was taken, as in the records."""
    scanner: str
    """Manufacturer and model, as in the records."""
    label: int
    """True class, from 0; -1 if the task is not a classification."""
    artefact: str
    """Name of the artefact in the plan."""
    item: str
    """Identity of the artefact with its search, task and goal (hexadecimal)."""
    goal: str
    """As in the records."""
    kind: str
    """`clean`, `random`, `worst of`, `found` or `failing`."""
    severity: float
    """0 (the image) to 5."""
    theta: tuple[float, ...]
    """Parameters in their units, in the order of `run.json` (`artefacts.items.parameters`); empty for `clean`."""
    eligible: bool
    """The goal applies to this image and its clean margin is above 0."""
    margin: float
    """Task margin; 0 or less: the image fails (the goal is reached)."""
    right: bool
    """The decision is acceptable: the true class, or a score above the task's floor."""
    score: float
    """Score of the decision against the truth, as in the records; NaN if undefined."""
    prediction: int
    """Class decided; -1 if the task is not a classification."""
    disease_score: float
    """Probability of the disease classes; NaN if the plan names none."""
    measures: tuple[float, ...]
    """The task's measures, as in the records; for `random` rows only the score is computed, and this is empty."""
    found: tuple[float, ...]
    """What the model found, as in the records; empty for `random` rows."""
    l2: float
    """Euclidean length of the change; NaN for `random` rows."""
    linf: float
    """Largest change of one stored value; NaN for `random` rows."""
    step: str
    """Which step of the search found it: `draws`, `evolution` or `gradient`; empty for other kinds."""
    queries: int
    """Images that the model was asked about in this search, all steps together; the same in all rows of an image."""
    backwards: int
    """Backward passes, the same in all rows of an image."""
    left: int
    """Candidates that were not allowed, because half of what is annotated left the image; the same in all rows."""
    seed: int
    """Seed of this image's random numbers."""
    non_finite: bool
    """The model returned NaN or infinity for a candidate; the same in all rows of an image."""


FIELD_NAMES = tuple(field.name for field in fields(ArtefactRow))
