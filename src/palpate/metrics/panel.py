"""Records as panels: one array per field and attack, budgets by images. All metrics read these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from palpate.errors import InputError
from palpate.storage.frames import Frame
from palpate.storage.lists import Lists
from palpate.storage.records import ATTACKED, HELD, MINIMUM

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]

FIELDS = frozenset(
    (
        "image", "row", "group", "site", "scanner", "label", "attack", "goal", "norm", "eps", "clean_prediction",
        "clean_right", "clean_score", "clean_measures", "truth", "clean_found", "clean_disease_score", "eligible",
        "prediction", "score", "measures", "found", "disease_score", "success", "evidence", "linf", "l2", "l1", "psnr",
        "ssim", "saved_linf", "clean_handled", "handled", "forwards", "backwards", "zero_gradient", "blocked_gradient",
        "non_finite", "stage", "stage_passes",
    )
)  # fmt: skip
"""The columns of records that a panel is made of."""


@dataclass(frozen=True, eq=False)
class Images:
    """The images before any attack; arrays of length N, in the order of the audited table."""

    row: Ints
    """Position in the audited table."""
    name: npt.NDArray[np.object_]
    """Name of the image. It may identify a patient."""
    group: Ints
    """Number of the unit of resampling (a patient), from 0."""
    site: npt.NDArray[np.object_]
    """Where it was taken; empty if it is not known."""
    scanner: npt.NDArray[np.object_]
    """The scanner; empty if it is not known."""
    label: Ints
    """True class; -1 where the task is not a classification."""
    clean_prediction: Ints
    """Class decided for the image as stored; -1 where the task is not a classification."""
    correct: Bools
    """Images with an acceptable result before any attack: the true class, or a score above the task's floor."""
    score: Floats
    """Quality of the decision for the image as stored: 1 or 0, mean Dice, F1; NaN where it is undefined."""
    disease_score: Floats
    """Probability of the disease classes for the image as stored; NaN if the plan names none."""
    measures: Floats
    """[image, measure] The task's measures for the image as stored; NaN where undefined."""
    truth: Lists
    """[image] The annotation, flat, as in `palpate.storage.records`."""
    found: Lists
    """[image] The model's findings in the image as stored, flat."""
    attackable: Bools
    """Images with something to lose: something that is scored is annotated. Robust rates count only these."""

    @property
    def count(self) -> int:
        """N, the number of images."""
        return int(self.row.size)

    @property
    def groups(self) -> int:
        """Number of units of resampling."""
        return int(np.unique(self.group).size)


@dataclass(frozen=True, eq=False)
class Outcome:
    """The results of one attack; two-dimensional arrays are [budget, image], smallest budget first.

    Where `recorded` is false the other arrays hold their neutral value: no success, prediction -1, scores and measures
    NaN, nothing found, distance infinite, no cost.
    """

    attack: str
    """Name of the attack in the plan."""
    goal: str
    """`untargeted`, `hide disease`, `invent disease`, `towards <class>`, `erase <structure>` and so on."""
    norm: str
    """`linf`, `l2` or `l1`: the norm of `distance` and `eps`."""
    eps: Floats
    """Budgets in stored values, ascending."""
    recorded: Bools
    """Whether there is a record for this budget and image."""
    eligible: Bools
    """[image] The goal applies to the label and was not reached without an attack."""
    success: Bools
    """The adversarial image reaches the goal, and the image was eligible."""
    prediction: Ints
    """Class decided for the adversarial image."""
    scores: Floats
    """Quality of the decision for the adversarial image, compared with the truth."""
    disease_score: Floats
    """Probability of the disease classes for the adversarial image."""
    measures: Floats
    """[budget, image, measure] The task's measures for the adversarial image."""
    found: Lists
    """The model's findings in the adversarial image, flat."""
    distance: Floats
    """Size of the change in the norm of the threat, in values."""
    linf: Floats
    """Largest change of one value."""
    psnr: Floats
    """Peak signal-to-noise ratio against the clean image in dB; NaN where nothing changed."""
    ssim: Floats
    """Structural similarity to the clean image; NaN where the image is too small for it."""
    saved_linf: Floats
    """Largest difference between the adversarial image and the image read back; NaN where it was not saved."""
    clean_handled: Floats
    """[image, step] Margin of the clean image after each post-processing step; NaN where it was not measured."""
    handled: Floats
    """[budget, image, step] Margin of the adversarial image after each step; NaN where it was not measured."""
    attacked: Bools
    """The attack ran here; false where a smaller budget's result was carried over or nothing was tried."""
    held: Bools
    """It was not attacked here, because it withstood a larger budget."""
    from_minimum: Bools
    """Whether the success was read from one search for the smallest change at the largest budget."""
    forwards: Ints
    """Forward passes."""
    backwards: Ints
    """Backward passes."""
    zero_gradient: Bools
    """The objective's gradient was exactly zero at some step."""
    blocked_gradient: Bools
    """The margin's gradient was zero too."""
    non_finite: Bools
    """The model returned NaN or infinity for an iterate."""
    stage: Texts
    """Of an attack of several stages, the first that beat the image; empty where none did, and for others."""
    stage_passes: Floats
    """[budget, image, stage] Forward plus backward passes of each stage; no stages for other attacks."""
    clean_predictions: Ints
    """Class decided for the image as stored, from this attack's records; -1 where there is no record."""
    clean_scores: Floats
    """Quality of the decision for the image as stored, from this attack's records; NaN without a record."""

    @property
    def covered(self) -> Bools:
        """[image] Images with a record at every budget."""
        everywhere: Bools = np.asarray(self.recorded.all(axis=0), dtype=bool)
        return everywhere


@dataclass(frozen=True, eq=False)
class Panel:
    """A whole run: its images and the outcome of each attack, in the plan's order."""

    images: Images
    outcomes: tuple[Outcome, ...]

    def of(self, goal: str) -> tuple[Outcome, ...]:
        """The outcomes of one goal."""
        return tuple(outcome for outcome in self.outcomes if outcome.goal == goal)

    @property
    def goals(self) -> tuple[str, ...]:
        """The goals, each once, in the plan's order."""
        return tuple(dict.fromkeys(outcome.goal for outcome in self.outcomes))


def arrange(frame: Frame) -> Panel:
    """Arrange the records of a run as panels.

    Args:
        frame: records as columns, from `RunFolder.frame`. It may be empty or, for an unfinished run, have holes.

    Raises:
        InputError: two records have the same image, attack and budget, one attack has two goals, or records
            hold different numbers of measures.
    """
    row, first = np.unique(frame["row"], return_index=True)
    _, group = np.unique(frame["group"][first], return_inverse=True)
    images = Images(
        row=row.astype(np.int64),
        name=frame["image"][first],
        group=group.astype(np.int64),
        site=frame["site"][first],
        scanner=frame["scanner"][first],
        label=frame["label"][first].astype(np.int64),
        clean_prediction=frame["clean_prediction"][first].astype(np.int64),
        correct=frame["clean_right"][first].astype(bool),
        score=frame["clean_score"][first].astype(np.float64),
        disease_score=frame["clean_disease_score"][first].astype(np.float64),
        measures=_table(frame["clean_measures"][first]),
        truth=frame["truth"][first],
        found=frame["clean_found"][first],
        attackable=_attackable(frame, first),
    )
    # A dictionary instead of `unique`, which would sort the names of all records.
    attacks = [_part(frame["attack"] == name) for name in dict.fromkeys(frame["attack"].tolist())]
    return Panel(images, tuple(_outcome(frame, part, row) for part in attacks))


def _part(mask: Bools) -> slice | Ints:
    """The places of a mask; a slice, which copies nothing, where they follow each other."""
    places = np.flatnonzero(mask)
    whole = places.size and places[-1] - places[0] + 1 == places.size
    return slice(int(places[0]), int(places[-1]) + 1) if whole else places


def _attackable(frame: Frame, first: Ints) -> Bools:
    """(N,) Images whose result can become worse, from their annotation.

    Without an annotated structure or a known finding the score is undefined. Without an annotated box it is defined,
    but nothing can be lost: the list of boxes is empty where those of other images are not, or no untargeted attack
    could attack the acceptable image.
    """
    plain = frame["label"][first] >= 0
    empty = np.equal(frame["truth"][first].sizes, 0)
    listed = not empty.all() or any(frame[name].sizes.any() for name in ("clean_found", "found"))
    untargeted, eligible, rows = frame["goal"] == "untargeted", frame["eligible"].astype(bool), frame["row"]
    tried, open_ones = (np.isin(rows[first], rows[mask]) for mask in (untargeted, untargeted & eligible))
    held = frame["clean_right"][first].astype(bool) & tried & ~open_ones
    scored = ~np.isnan(frame["clean_score"][first].astype(np.float64))
    return np.asarray(plain | (scored & ~(empty & (listed | held))), dtype=bool)


def _table(lists: Lists) -> Floats:
    """Lists of one length as a table (N, M)."""
    widths = lists.widths
    if len(widths) > 1:
        raise InputError("Records of one run hold different numbers of measures: start a new run folder.")
    return lists.table(max(widths, default=0))


def _padded(lists: Lists, what: str = "post-processing steps") -> Floats:
    """Lists of one length as a table (N, M); NaN where a list is empty because nothing was measured."""
    widths = [width for width in lists.widths if width]
    if len(widths) > 1:
        raise InputError(f"Records of one attack hold different numbers of {what}: start a new run folder.")
    return lists.table(max(widths, default=0))


def _outcome(frame: Frame, mine: slice | Ints, rows: Ints) -> Outcome:
    columns = {name: frame[name][mine] for name in FIELDS}
    attack = str(columns["attack"][0])
    eps, budget = np.unique(columns["eps"], return_inverse=True)
    image = np.searchsorted(rows, columns["row"])
    _check(attack, set(columns["goal"].tolist()), budget * rows.size + image)

    def spread(values: npt.NDArray[Any], neutral: object) -> npt.NDArray[Any]:
        out = np.full((eps.size, rows.size), neutral, dtype=values.dtype)
        out[budget, image] = values
        return out

    def table(values: Floats, neutral: float = np.nan) -> Floats:
        out = np.full((eps.size, rows.size, values.shape[1]), neutral)
        out[budget, image] = values
        return out

    norm = str(columns["norm"][0])
    evidence = columns["evidence"] == ATTACKED
    flags = {name: spread(columns[name], False) for name in ("zero_gradient", "blocked_gradient", "non_finite")}
    return Outcome(
        attack=attack,
        goal=str(columns["goal"][0]),
        norm=norm,
        eps=eps.astype(np.float64),
        recorded=spread(np.ones(image.size, dtype=bool), False),
        eligible=np.any(spread(columns["eligible"], False), axis=0),
        success=spread(columns["success"] & columns["eligible"], False),
        prediction=spread(columns["prediction"].astype(np.int64), -1),
        scores=spread(columns["score"].astype(np.float64), np.nan),
        disease_score=spread(columns["disease_score"].astype(np.float64), np.nan),
        measures=table(_table(columns["measures"])),
        found=columns["found"].spread((budget, image), (eps.size, rows.size)),
        distance=spread(columns[norm].astype(np.float64), np.inf),
        **{name: spread(columns[name].astype(np.float64), np.nan) for name in ("linf", "psnr", "ssim", "saved_linf")},
        clean_handled=_of_images(_padded(columns["clean_handled"]), image, rows.size),
        handled=table(_padded(columns["handled"])),
        attacked=spread(evidence, False),
        held=spread(columns["evidence"] == HELD, False),
        from_minimum=spread(columns["evidence"] == MINIMUM, False),
        forwards=spread(columns["forwards"].astype(np.int64), 0),
        backwards=spread(columns["backwards"].astype(np.int64), 0),
        stage=spread(columns["stage"].astype(object), ""),
        stage_passes=table(np.nan_to_num(_padded(columns["stage_passes"], "stages")), 0.0),
        clean_predictions=spread(columns["clean_prediction"].astype(np.int64), -1),
        clean_scores=spread(columns["clean_score"].astype(np.float64), np.nan),
        **flags,
    )


def _of_images(values: Floats, image: Ints, count: int) -> Floats:
    """The value per image that is the same in its records at all budgets, where it was measured."""
    out = np.full((count, values.shape[1]), np.nan)
    known = ~np.isnan(values).all(axis=1) if values.shape[1] else np.zeros(image.size, dtype=bool)
    out[image[known]] = values[known]
    return out


def _check(attack: str, goals: set[str], cells: Ints) -> None:
    if len(goals) > 1:
        raise InputError(f"The attack '{attack}' has records of {len(goals)} goals. Give each goal its own name.")
    if cells.size and np.bincount(cells).max() > 1:
        raise InputError(
            f"The attack '{attack}' has two records for one image and budget. Two runs share this folder: "
            "start a new run folder."
        )
