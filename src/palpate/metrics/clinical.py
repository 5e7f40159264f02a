"""The direction of an error: missed disease and invented disease, counted for every attack and goal.

*Disease* is the set of classes that the plan names, for grades usually "referable": grade 2 and above. The direction
is read from the decided classes, so that an untargeted attack is also judged by its effect on a patient. An untargeted
attack does not attack an image that was wrong before, so its decision stays; the goals "hide disease" and "invent
disease" attack those images too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from palpate.metrics.intervals import Share
from palpate.metrics.panel import Bools, Images, Ints, Outcome
from palpate.metrics.robustness import beaten_within, reach, seen

MISSED = "missed disease"
INVENTED = "invented disease"


def is_disease(classes: Ints, disease: Sequence[int]) -> Bools:
    """Whether each class counts as disease."""
    # Numpy would look each class up in a table, which takes ten times as long as comparing with a few.
    return np.isin(classes, list(disease), kind="sort")


def missed(images: Images, prediction: Ints, recorded: Bools, disease: Sequence[int]) -> Share:
    """Disease images that are decided as healthy, over the disease images."""
    return Share(~is_disease(prediction, disease), recorded & is_disease(images.label, disease))


def invented(images: Images, prediction: Ints, recorded: Bools, disease: Sequence[int]) -> Share:
    """Healthy images that are decided as disease, over the healthy images."""
    return Share(is_disease(prediction, disease), recorded & ~is_disease(images.label, disease))


def clean_directions(images: Images, disease: Sequence[int]) -> dict[str, Share]:
    """Both directions before any attack."""
    everyone = np.ones(images.count, dtype=bool)
    return {
        MISSED: missed(images, images.clean_prediction, everyone, disease),
        INVENTED: invented(images, images.clean_prediction, everyone, disease),
    }


def attacked_directions(images: Images, outcome: Outcome, budget: int, disease: Sequence[int]) -> dict[str, Share]:
    """Both directions under one attack at one of its budgets."""
    prediction, recorded = outcome.prediction[budget], outcome.recorded[budget]
    return {
        MISSED: missed(images, prediction, recorded, disease),
        INVENTED: invented(images, prediction, recorded, disease),
    }


def worst_directions(
    images: Images, outcomes: Sequence[Outcome], eps: float, disease: Sequence[int]
) -> dict[str, Share]:
    """Both directions in the worst case: wrong before, or beaten within `eps` by some attack of any goal.

    It counts the images that some attack has finished. A missing attack can only make the rates too small.
    """
    finished = seen(outcomes, images.count)
    clean = clean_directions(images, disease)

    def worst(name: str, wrong: Callable[[Ints], Bools]) -> Share:
        found = reach(outcomes, [wrong(outcome.prediction) for outcome in outcomes], images.count)
        return Share(clean[name].hits | beaten_within(found, eps), clean[name].among & finished)

    return {
        MISSED: worst(MISSED, lambda prediction: ~is_disease(prediction, disease)),
        INVENTED: worst(INVENTED, lambda prediction: is_disease(prediction, disease)),
    }
