"""The shape of `compare.json`: two or more runs over the same images, figure by figure and image by image.

Differences are the later run minus the first one. Numbers are null where they are undefined, and then `note` gives the
reason.

`python -m palpate.report --compare FILE` writes the JSON schema.
"""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from palpate.docstrings import Described
from palpate.report.model.description import AuditedModel, DataDescription, TaskDescription, ThreatDescription
from palpate.report.model.schema_hardening import HardeningVerdict
from palpate.report.model.typed import Figure, JsonObject, Number, Text

COMPARISON_VERSION = 1
"""It increases when a field is removed or changes its meaning."""

Section = Literal[
    "result",
    "goals",
    "classes",
    "parts",
    "sizes",
    "clinical",
    "grading",
    "subgroups",
    "artefacts",
    "certificates",
    "survival",
    "attacks",
    "classes by attack",
    "parts by attack",
    "clinical by attack",
    "grading by attack",
    "survival by attack",
]
"""Part of the comparison; the p-values of a section are adjusted together."""
Better = Literal["higher", "lower", ""]
Reading = Literal["better", "worse", "changed", "not established", "undefined"]
ESTABLISHED = frozenset({"better", "worse", "changed"})
"""Readings of a difference that is established."""


class ComparedRun(JsonObject):
    """One of the runs."""

    letter: Text
    """A is what the others are compared with; B, C and so on."""
    folder: Text
    """Name of the run folder, without the folders around it."""
    title: Text
    palpate: Text
    """Version that made the run."""
    created: Text
    finished: Text | None
    seed: int
    model: AuditedModel
    verdict: Text
    """The verdict of the run, over what is compared."""
    quality: Text
    """Quality of its untargeted attacks: `high`, `medium`, `not known` or `low`; empty without any."""


class Warned(JsonObject):
    """One way in which the runs differ."""

    level: Literal["warning", "note"]
    """`warning`: less is compared, or read with care. `note`: good to know."""
    subject: Text
    """What differs: `attacks`, `budgets`, `threat`, `seed`, `versions` ..."""
    text: Text
    """One or two sentences."""


class Delta(JsonObject):
    """A paired difference with its 95% interval."""

    value: Number
    """The later run minus the first one."""
    low: Number
    high: Number
    method: Literal["Tango", "Tango, effective sample size", "bootstrap over groups", "none"]
    """How the interval was made."""
    note: Text | None = None
    """Why it is undefined, or has no interval."""


class Change(JsonObject):
    """One figure of the report in both runs."""

    section: Section
    figure: Text
    """`clean accuracy`, `robust accuracy`, `success rate`, `missed disease`, `dice`, `auroc` and so on."""
    part: Text
    """The class, structure, finding, site or size; empty for all images."""
    by: Text
    """What `part` is: `class`, `structure`, `finding`, `class of box`, `site`, `scanner`, `size`, or empty."""
    under: Text
    """`clean`, `any attack`, the name of an attack or of an artefact."""
    goal: Text
    """Goal of the attacks; empty without an attack, and for figures of all goals together."""
    eps: float | None
    """Budget in values; null without an attack."""
    how: Text
    """Of an artefact `severity 3`, `worst of 8`, `worst found`, `all severities`; of survival the step."""
    better: Better
    """Whether higher or lower is better; empty for neither."""
    kind: Literal["share", "fraction", "number"]
    """`share`: written in per cent, differences in points. `fraction`: a coefficient from 0 to 1."""
    unit: Text
    first: Figure
    """Over the images that are compared: the report of the run may count others."""
    second: Figure
    difference: Delta
    p: Number
    """Two-sided p that nothing differs."""
    p_holm: Number
    """The same after Holm's adjustment over all figures of the section, of all pairs of runs."""
    test: Text
    """`sign flips by group` (McNemar's exact test if each image is a group), or Student's t."""
    left_out: int
    """Images for which only one run has a value; they do not count."""
    gained: int | None
    """Images that only the later run has among its hits; null if the figure is not a share over the same images."""
    lost: int | None
    """Images that only the first run has among its hits."""
    reading: Reading
    """`better` or `worse` if the adjusted p is below 0.05 and the interval does not hold 0; `changed` where neither
    direction is better."""


class SwitchedImage(JsonObject):
    """An image that the runs decide differently."""

    row: int
    """Position in the table of the first run, from 0."""
    second_row: int
    """Position in the table of the later run."""
    image: Text | None = None
    """Its name; null unless names were asked for, because it may identify a patient."""
    label: int
    """True class; -1 if the task is not a classification."""
    first_score: Number
    """Score of the decision without an attack in the first run."""
    second_score: Number
    """The same in the later run."""


class Switch(JsonObject):
    """Which images became acceptable, and which are no longer."""

    figure: Literal["clean accuracy", "robust accuracy"]
    eps: float | None
    """Budget of the worst case over all attacks; null without an attack."""
    both: int
    """Images with an acceptable result in both runs."""
    neither: int
    gained: list[SwitchedImage]
    """Acceptable in the later run only."""
    lost: list[SwitchedImage]
    """Acceptable in the first run only."""
    p: float
    """Two-sided p of sign flips by group; McNemar's exact test if each image is a group."""


class Pair(JsonObject):
    """A later run and the first one."""

    first: Text
    second: Text
    sentence: Text
    """The result in a sentence."""
    details: list[Text]
    changes: list[Change]
    switches: list[Switch]
    hardening: HardeningVerdict | None = None
    """Whether the word *hardened* may be used; null if the later run is not a hardened model."""


class GateResult(JsonObject):
    """A limit on a difference."""

    text: Text
    """The gate as it was written."""
    second: Text
    """Letter of the run that was judged; empty if nothing fits."""
    by: Literal["estimate", "interval"]
    """What must be within the limit."""
    figure: Text
    """The figure that decided: that furthest from passing."""
    difference: Text
    """Its difference in words."""
    value: Number
    """Its difference."""
    low: Number
    high: Number
    passed: bool
    note: Text
    """What the interval says."""


class ComparedIntervals(JsonObject):
    """How the intervals were made."""

    level: float
    groups: int
    """Units of resampling (patients)."""
    clustered: bool
    replicates: int
    seed: int


class Comparison(JsonObject):
    """All of `compare.json`."""

    schema_version: int = COMPARISON_VERSION
    notice: Text
    palpate: Text
    """Version that compared the runs."""
    task: TaskDescription
    data: DataDescription
    threat: ThreatDescription
    images: int
    """Images that are compared."""
    eps: list[float]
    """Budgets that all runs have."""
    headline: float | None
    """The budget of the sentences, and of sites and scanners."""
    attacks: list[Text]
    """Attacks that all runs have with the same settings, by their name in the first run."""
    runs: list[ComparedRun]
    warnings: list[Warned]
    pairs: list[Pair]
    gates: list[GateResult] = Field(default_factory=list)
    intervals: ComparedIntervals


def comparison_schema() -> bytes:
    """The JSON schema of `compare.json`, as stored in `docs/reference/compare.schema.json`."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Comparison.model_json_schema(schema_generator=Described, mode="serialization"),
    }
    return (json.dumps(schema, indent=2, ensure_ascii=False) + "\n").encode()
