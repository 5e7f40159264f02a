"""One row per image, noise and radius: the schema of `certificates/*.parquet`, in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, fields

CERTIFICATE_VERSION = 1
"""Increased when a field is added, removed or changes its meaning."""


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """What is known of the smoothed model for changes of one image up to one L2 radius."""

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
    item: str
    """Identity of the noise, the samples, the radii and the attack (hexadecimal)."""
    sigma: float
    """Standard deviation of the noise in stored values."""
    radius: float
    """L2 length of the change in stored values; 0 is the image as stored."""
    least_score: float
    """Lower bound of the task's score for every such change, with the stated confidence; NaN if it is undefined."""
    least_acceptable: bool
    """Whether the result is acceptable for every such change, with the stated confidence."""
    least_parts: tuple[float, ...]
    """Lower bounds of the parts that `run.json` names (`certificates.parts`); empty for classes."""
    abstained: float
    """Share of the decisions (class, findings, pixels) that are not certified at this radius."""
    most_score: float
    """Upper bound of the score: what an attack within the radius showed, or the smoothed model without one."""
    most_acceptable: bool
    """Whether no attack within the radius has shown a result that is not acceptable."""
    most_parts: tuple[float, ...]
    """Upper bounds of the parts."""
    attacked: bool
    """Whether an adversarial image at this radius was judged."""
    share: float
    """For classes the lower bound of the probability of the decision; NaN for other tasks. The same in all rows."""
    certified: float
    """For classes the largest certified radius, 0 if it abstains; NaN for other tasks. The same in all rows."""
    prediction: int
    """Class that the smoothed model decides for the image as stored; -1 if it abstains, or for other tasks."""
    unsettled: float
    """Share of the decisions for the image as stored that the votes do not settle. The same in all rows."""
    clean_right: bool
    """Whether the model without noise has an acceptable result for the image as stored."""
    clean_score: float
    """Its score."""
    forwards: int
    """Forward passes spent on this image, all radii together; the same in all rows."""
    backwards: int
    """Backward passes, the same in all rows."""
    seed: int
    """Seed of this image's noise."""


FIELD_NAMES = tuple(field.name for field in fields(CertificateRow))
