"""One row per step of a traced attack: the schema of `stability/*.parquet`, in plain Python.

`kl(p, q)` is `Task.consistency_loss`: KL(p || q) of classes, its mean over the pixels that count, or the sum over
candidate boxes per object. x is the clean image, x_t the image that the model sees at step t, x_T the last one, xs_t =
x_{t-1} + W * (x_t - x_{t-1}) with W a 3x3 Gaussian of sigma 1 (for SMIA its own smoothing), d_t = x_t - x. A value that
is not defined, or was not asked for, is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

TRACE_VERSION = 1
"""Increased when a field is added, removed or changes its meaning."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One step of one start of one attack on one image. Distances are in values (HU, stored numbers)."""

    image: str
    """Path of the image, as in the records."""
    row: int
    """Position in the audited table, from 0."""
    group: str
    """Unit of resampling (a patient), as in the records."""
    attack: str
    """Name of the attack in the plan."""
    item: str
    """Identity of the attack, as in the records."""
    goal: str
    """As in the records."""
    eps: float
    """Radius of the ball in values."""
    start: int
    """Number of the independent start, from 0; each start has its own random numbers."""
    step: int
    """t: steps taken so far, from 0 to T."""
    steps: int
    """T."""
    margin: float
    """Task margin of x_t; 0 or less: beaten."""
    value: float
    """J(x_t), the objective of the attack; NaN at t = T, after the last step."""
    loss: float
    """Deviation: the task's loss L(f(x_t), y)."""
    penalty: float
    """Stabilisation: alpha * D(f(x_t), f(xs_t)), that is loss - value; NaN for attacks without that term, and at T."""
    kl_smoothed: float
    """kl(f(x_t), f(xs_t)); costs one forward pass per step."""
    kl_final: float
    """kl(f(x_t), f(x_T)): distance from the end of the attack."""
    kl_clean: float
    """kl(f(x), f(x_t)): distance from the beginning."""
    cos_step: float
    """Cosine between the step to x_t and the step before it; NaN for t < 2 and if one of them is zero."""
    cos_final: float
    """Cosine between d_t and d_T; NaN if one of them is zero."""
    linf: float
    """Largest absolute value of d_t."""
    l2: float
    """Euclidean length of d_t."""
    plane_x: float
    """Coordinate of d_t along the unit vector of the first step that moves."""
    plane_y: float
    """Coordinate of d_t along the part of the last moving step that is perpendicular to the first one."""


FIELD_NAMES = tuple(field.name for field in fields(TraceRow))
