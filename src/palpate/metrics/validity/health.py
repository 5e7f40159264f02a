"""Health checks: whether records look like working attacks on a model that can be attacked.

After Carlini et al., "On Evaluating Adversarial Robustness" (2019), and Pintor et al., "Indicators of Attack
Failure" (2022). Each check reads records only and returns one finding. `metrics.strength` compares attacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from palpate.metrics.findings import HealthFinding, Level
from palpate.metrics.intervals import Share, wilson
from palpate.metrics.panel import Bools, Images, Outcome, Panel
from palpate.metrics.robustness import clean_accuracy, within_budget

FEW_IMAGES = 10
"""With fewer eligible images than this, a rate cannot be given."""
FEW_GROUPS = 20
"""With fewer groups than this the bootstrap's interval of a mean may be too narrow."""
WIDE = 0.2
"""A 95% interval wider than this is called wide."""
HALF = 0.5
"""With fewer acceptable images than this before any attack, attacks can make little worse."""
STEADY = 0.01
"""Scores of one clean image that differ by more than this are not rounding."""
MANY = 0.05
"""The figures are not reliable where more than this share of attacked images has a defect."""
_NOTHING = (
    "There is nothing that an attack could make worse, so the figures have no meaning. Check model.weights, "
    "model.preprocess and the order of the names in [task]."
)
_LITTLE = "There is little that an attack could make worse. Check model.weights and model.preprocess."
_PLACE = "to data.table, or to the folder that [data] names"


def attacks_ran(
    planned: Mapping[str, Sequence[float]], panel: Panel, failed: Collection[str] = frozenset()
) -> HealthFinding:
    """Every planned attack has a record for every image and budget.

    Args:
        planned: attack name -> budgets.
        panel: the records.
        failed: attacks that cannot run on this model.
    """
    name, done = "All attacks ran", {outcome.attack: outcome for outcome in panel.outcomes}
    if unable := [attack for attack in planned if attack in failed]:
        text = f"Could not run: {_list(unable)}. The findings give the reason of each, and the fix"
        text += (
            ": `palpate audit` tries again." if "square" in unable else '. Or write attack = "square" in their place.'
        )
        return HealthFinding("failure", name, text)
    absent = [attack for attack in planned if attack not in done]
    partial = [
        attack
        for attack, eps in planned.items()
        if attack in done and (done[attack].eps.size < len(eps) or not done[attack].recorded.all())
    ]
    if not done:
        return HealthFinding("failure", name, "No attack has a record yet. Run `palpate audit` again to continue.")
    if absent:
        return HealthFinding("failure", name, f"Never ran: {_list(absent)}. Run `palpate audit` again to finish them.")
    if partial:
        return HealthFinding(
            "failure", name, f"Ran only on a part of the images: {_list(partial)}. Run `palpate audit` again."
        )
    return HealthFinding("pass", name, f"All {len(done)} attacks have a record for each image and budget.")


def steady_model(panel: Panel) -> HealthFinding:
    """Every attack's records hold the same decision for each clean image: the same class, the same score."""
    name = "Steady decisions"
    unsteady = np.zeros(panel.images.count, dtype=bool)
    for outcome in panel.outcomes:
        differs = outcome.clean_predictions != panel.images.clean_prediction
        differs |= np.abs(outcome.clean_scores - panel.images.score) > STEADY
        unsteady |= (outcome.recorded & differs).any(axis=0)
    if unsteady.any():
        return HealthFinding(
            "failure",
            name,
            f"{_images(unsteady.sum())} got different decisions from one attack to the next, although they did not "
            "change. The model draws random numbers (dropout, random crops). Write run.draws = 64: each output is then "
            "a mean over many draws.",
        )
    return HealthFinding("pass", name, "Each clean image got the same decision every time.")


def clean_baseline(images: Images) -> HealthFinding:
    """The model is better than always answering the most common class; without classes, acceptable on at least half.

    Images of one class cannot show that, even if all of them are correct.
    """
    name = "Clean accuracy"
    if not images.count:
        return HealthFinding("failure", name, "No image has a record yet. Run `palpate audit` again to continue.")
    share = clean_accuracy(images)
    if (images.label < 0).all():
        return _acceptable(share)
    right = f"The model is correct on {share.count} of {share.total} images"
    if not share.count:
        return HealthFinding("failure", name, f"{right}. {_NOTHING}")
    if np.unique(images.label).size == 1:
        text = (
            f"{right}, which are all of one class. This does not show whether it can tell the classes apart. Add "
            f"images of the other classes {_PLACE}."
        )
        return HealthFinding("warning", name, text)
    commonest = np.bincount(images.label).max() / images.count
    text = f"{right}; always answering the most common class gives {commonest:.0%}."
    if share.value <= commonest:
        return HealthFinding("warning", name, f"{text} {_LITTLE}")
    return HealthFinding("pass", name, text)


def _acceptable(share: Share) -> HealthFinding:
    """Masks, boxes and findings: how many results are acceptable without an attack."""
    text = f"Without an attack the result is acceptable on {share.count} of {share.total} images."
    if not share.count:
        return HealthFinding("failure", "Clean results", f"{text} {_NOTHING}")
    if share.value < HALF:
        return HealthFinding("warning", "Clean results", f"{text} {_LITTLE}")
    return HealthFinding("pass", "Clean results", text)


def gradients(outcomes: Sequence[Outcome]) -> HealthFinding:
    """Attacks had a gradient to climb."""
    name = "Gradients"
    zero, blocked, tried = 0, 0, 0
    hit: list[str] = []
    for outcome in outcomes:
        ran = outcome.attacked.any(axis=0)
        tried += int(ran.sum())
        zero += int(outcome.zero_gradient.any(axis=0).sum())
        mine = int((outcome.blocked_gradient.any(axis=0) & ~outcome.success.any(axis=0)).sum())
        blocked += mine
        hit += [outcome.attack] if mine else []
    if blocked:
        level: Level = "failure" if blocked > MANY * tried else "warning"
        return HealthFinding(
            level,
            name,
            f"In {blocked} of {tried} attacks on an image no gradient reached the image, so the attack "
            f'could not move ({_list(hit)}). Write attack = "square" in [[attacks]], or remove the step of '
            "model.preprocess or of the model that blocks gradients.",
        )
    if zero:
        return HealthFinding(
            "note",
            name,
            f"In {zero} of {tried} attacks on an image the loss was so saturated that its gradient was zero; the "
            "attack climbed the margin instead, or the same loss of smaller logits, so nothing was lost.",
        )
    return HealthFinding("pass", name, "Every gradient was finite and non-zero.")


def finite_outputs(outcomes: Sequence[Outcome], artefacts: Sequence[Bools] = ()) -> HealthFinding:
    """The model's outputs stayed finite under attack, and with artefacts (whether they did not, per image)."""
    name = "Finite outputs"
    broken = sum(int(outcome.non_finite.any(axis=0).sum()) for outcome in outcomes)
    tried = sum(int(outcome.attacked.any(axis=0).sum()) for outcome in outcomes)
    broken, tried = broken + sum(int(one.sum()) for one in artefacts), tried + sum(one.size for one in artefacts)
    if not broken:
        return HealthFinding("pass", name, "The model's outputs were finite for every image that was tried.")
    what = "attacks on an image or searches of its worst artefact" if artefacts else "attacks on an image"
    return HealthFinding(
        "failure" if broken > MANY * tried else "warning",
        name,
        f"In {broken} of {tried} {what} the model returned NaN or infinity. A deployed model that does "
        'so fails without any attacker. Find the layer that overflows, and keep run.precision = "float32".',
    )


def leaves_budget(outcome: Outcome) -> bool:
    """Whether some adversarial image of the attack is larger than its budget."""
    return bool((outcome.success & ~within_budget(outcome)).any())


def budgets_kept(outcomes: Sequence[Outcome]) -> HealthFinding:
    """No adversarial image is larger than its budget."""
    name = "Budgets kept"
    texts = []
    for outcome in outcomes:
        outside = outcome.recorded & outcome.success & ~within_budget(outcome)
        if outside.any():
            factor = float((outcome.distance / outcome.eps[:, None])[outside].max())
            texts.append(f"'{outcome.attack}' ({_images(outside.any(axis=0).sum())}, up to {factor:.2g} times)")
    if not texts:
        return HealthFinding("pass", name, "Every adversarial image kept to its budget.")
    return HealthFinding(
        "note",
        name,
        f"Left their budget: {', '.join(texts)}. Their rows cannot be compared at the same eps; in the worst case each "
        "image counts at its real distance.",
    )


def sample_size(panel: Panel, clustered: bool) -> HealthFinding:
    """There are enough images, and enough groups, for meaningful intervals.

    Args:
        panel: the records.
        clustered: whether groups (patients) hold several images.
    """
    name, images = "Sample size", panel.images
    counts = {outcome.attack: int(outcome.eligible.sum()) for outcome in panel.outcomes}
    if not counts:
        return HealthFinding("failure", name, "No image was attacked.")
    attack, fewest = min(counts.items(), key=lambda item: item[1])
    low, high = wilson(fewest // 2, fewest)
    if fewest < FEW_IMAGES:
        return HealthFinding(
            "failure", name, f"Only {_images(fewest)} could be attacked by '{attack}'. Add images {_PLACE}."
        )
    if clustered and images.groups < FEW_GROUPS:
        return HealthFinding(
            "warning",
            name,
            f"The images come from only {images.groups} groups; with so few the intervals of means are too narrow. "
            f"Add patients {_PLACE}.",
        )
    text = (
        f"'{attack}' has the fewest images to attack, {fewest}. Rates are uncertain by up to "
        f"{50 * (high - low):.0f} points"
    )
    if high - low > WIDE:
        text += f" (95%). Smaller differences are not established. Add images {_PLACE}."
        return HealthFinding("warning", name, text)
    return HealthFinding("pass", name, f"{text} (95%).")


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{int(count)} images"


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
