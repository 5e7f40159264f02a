"""Certificates in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from palpate.report.model.description import Description
from palpate.report.model.schema_certificates import CertificateResults, CertifiedPoint
from palpate.report.model.scored import Scored
from palpate.report.model.words import percent, whole

SPEAKS = (
    "These bounds are about the smoothed model, which decides by the vote of many noisy copies of an image, not about "
    "the model as given."
)


def sentence(description: Description, items: Sequence[CertificateResults]) -> str:
    """What is certain and what attacks leave, at one radius of the sigma that certifies most."""
    item = telling(items)
    if item is None:
        return "No certificate has finished on any image."
    task, data, point = description.task, description.data, chosen(item)
    scored = Scored(task)
    least, most = scored.of(point.certified), None if point.attacked is None else scored.of(point.attacked)
    radius = f"any change of Euclidean length up to {data.written(point.radius)}"
    per = _per_value(description, point.radius)
    values = "" if data.unit else " in stored values"
    text = (
        f"Smoothed with noise of sigma {data.written(item.sigma)}{values}, the model keeps {_a(scored)} {scored.name} "
        f"of at least {scored.written(least)} under {radius}{per}, certified on {item.images} images"
    )
    if most is None:
        return f"{text}; it was not attacked, so how far it really holds is not known."
    if scored.written(least) == scored.written(most):
        return f"{text}; attacks of that length leave the same."
    return f"{text}; attacks of that length leave at most {scored.written(most)}. What lies between is not known."


def details(description: Description, items: Sequence[CertificateResults]) -> list[str]:
    """What the bounds are about, what smoothing itself costs, what it took, and what is not finished."""
    described, item = description.certificates, telling(items)
    assert described is not None
    texts = [SPEAKS]
    if item is not None:
        scored = Scored(description.task)
        abstains = "it abstains on" if description.task.classification else "its votes do not settle"
        of = "of the images" if description.task.classification else "of the decisions"
        given, smoothed = scored.written(scored.of(item.clean)), scored.written(item.smoothed)
        texts.append(
            f"Without a change, the smoothed model has {_a(scored)} {scored.name} of {smoothed} on these images, and "
            f"the model as given {given}; {abstains} {percent(item.unsettled.value)} {of}. Each certificate holds with "
            f"a confidence of {100 * item.confidence:.12g}%."
        )
        texts.append(
            f"An image took {whole(round(item.forwards / item.images))} forward passes and "
            f"{whole(round(item.backwards / item.images))} backward passes."
        )
    if described.unattacked:
        texts.append(described.unattacked)
    left = sum(described.images - one.images for one in items)
    if left:
        texts.append(
            f"{left} of {described.images * len(items)} certificates are not finished: figures are provisional."
        )
    return texts


def telling(items: Sequence[CertificateResults]) -> CertificateResults | None:
    """The smallest sigma with finished images; None without any."""
    return next((item for item in items if item.points), None)


def chosen(item: CertificateResults) -> CertifiedPoint:
    """The radius of a sentence: that of tau for masks, else the one nearest to sigma."""
    wanted = item.sigma if item.tau_radius is None else item.tau_radius
    return min(item.points[1:] or item.points, key=lambda point: abs(point.radius - wanted))


def _a(scored: Scored) -> str:
    """The article in front of the name of a score."""
    return "an" if scored.name.startswith("a") else "a"


def _per_value(description: Description, radius: float) -> str:
    """How little a length is for each value, where all images have one shape."""
    data = description.data
    if not data.shape:
        return ""
    return f" ({data.written(radius / math.sqrt(math.prod(data.shape)))} in each value, if all change alike)"
