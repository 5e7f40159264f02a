"""Draw docs/images/smia_algebra.svg, and write its figures onto docs/explanation/smia.md.

On three logits: the pull of cross-entropy, of SMIA at several weights before and after the smoothed decision flips, and
the limit z_c - z_y. Next to it the angle between SMIA's gradient and BIM's along an attack on the demo's classifier of
phantoms. All arrows and points come from `palpate.attacks.objectives`; none is drawn by hand.

Run: `python tools/smia_algebra_picture.py`; the same bytes every time.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from torch import Tensor

from palpate.attacks import recipes
from palpate.attacks.objectives import Deviation, Stabilised
from palpate.contracts import Objective, ObjectiveInputs, StepEvent
from palpate.data.phantoms.fundus import fundus_set
from palpate.models.demo import fundus as demo
from palpate.preprocess.values import Normalise
from palpate.tasks.classification import Classification
from palpate.threats.ball import Linf
from palpate.victim import Victim

COLOURS = {0.0: "#1f5fa8", 0.5: "#d98c3f", 0.8: "#c2571a", 1.0: "#222222", 1.5: "#a02040"}
NAMES = {0.0: "BIM", 0.5: "α = 0.5", 0.8: "α = 0.8", 1.0: "α = 1 vanishes", 1.5: "α = 1.5 reverses"}
FLOOR = 1e-14
"""Smaller angles are drawn at this value: they are rounding."""
ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "smia_algebra.svg"
PAGE = ROOT / "docs" / "explanation" / "smia.md"
BEGIN, END = "<!-- figures of the picture -->", "<!-- end of figures -->"

Y, C, OTHER = 0, 1, 2
"""The truth, the class predicted for the smoothed image, and an unrelated class."""
LOGITS = (1.5, 0.6, 1.0)
"""Logits of x_t in both drawn cases: right, but not sure."""
BEFORE, AFTER = (0.0, 0.5, 0.8, 1.0, 1.5), (0.0, 0.5, 0.8, 1.0)
"""Weights that are drawn while the smoothed decision is right, and once it is c; 1 is the limit."""
ALPHA, RADIUS, STEPS, IMAGES, SEED = 0.9, 1.0, 8, 8, 2024
"""The attack: on the demo's first phantoms, whose stored values may change by one."""


def pull(alpha: float, taken_for: int) -> Tensor:
    """Gradient of SMIA's objective on the logits (3,), if the smoothed image is predicted as one class."""
    z = torch.tensor([LOGITS], dtype=torch.float64, requires_grad=True)
    smoothed = F.one_hot(torch.tensor([taken_for]), 3).double()
    image = torch.zeros(1, 1, 1, 1)
    inputs = ObjectiveInputs(
        image,
        image,
        image,
        z,
        z,
        torch.tensor([Y]),
        Classification(3),
        0.0,
        forward=None,
        forward_no_grad=lambda _: smoothed,
    )
    objective = Stabilised(min(alpha, 0.5))
    # Weights of 1 and more are refused; the picture shows why.
    object.__setattr__(objective, "weight", alpha)
    (gradient,) = torch.autograd.grad(objective.value(inputs).sum(), z)
    return gradient[0]


def flat(vector: Tensor) -> tuple[float, float]:
    """A vector of three logits in the plane of those that sum to zero: right is c - y, up is the third class."""
    return (
        float(vector[C] - vector[Y]) / 2**0.5,
        float(2 * vector[OTHER] - vector[Y] - vector[C]) / 6**0.5,
    )


@dataclass
class Walk:
    """The path of an attack: the points of every step, and what was known there."""

    points: list[StepEvent] = field(default_factory=list)

    def watch(self, event: StepEvent) -> None:
        """Keep it; iterates are never written to."""
        if event.value is not None:
            self.points.append(event)


@dataclass(frozen=True)
class Along:
    """Values along the attack, (steps, images).

    Attributes:
        degrees: angle between SMIA's gradient and BIM's.
        right: whether the smoothed decision is the truth.
        standing: whether the image is not beaten at this step.
    """

    degrees: Tensor
    right: Tensor
    standing: Tensor


def along() -> Along:
    """Attack the demo's classifier, and compare both gradients at every iterate."""
    torch.set_num_threads(1)
    victim = Victim(demo.load().double(), (0, 255), preprocess=Normalise(demo.MEAN, demo.STD))
    drawn, grades = fundus_set(IMAGES, SEED)
    images, labels = torch.from_numpy(drawn).movedim(-1, 1).double(), torch.from_numpy(grades)
    task, walk = Classification(len(demo.CLASSES)), Walk()
    with victim:
        kept = task.margin(victim.judge(images), labels) > 0
        images, labels = images[kept], labels[kept]
        recipes.smia(Linf(RADIUS), STEPS, ALPHA, run_to_end=True)(victim, task, images, labels, watcher=walk)
        met = [_compare(victim, event) for event in walk.points]
    return Along(*(torch.stack(parts) for parts in zip(*met, strict=True)))


def _compare(victim: Victim, event: StepEvent) -> tuple[Tensor, Tensor, Tensor]:
    smia = Stabilised(ALPHA)
    place = event.images.clone().requires_grad_()
    outputs = victim.search(place)
    inputs = ObjectiveInputs(
        place,
        event.previous,
        event.clean,
        outputs,
        event.clean_outputs,
        event.targets,
        event.task,
        0.0,
        victim.search,
        victim.forward_no_grad,
    )

    def towards(objective: Objective) -> Tensor:
        return F.normalize(victim.gradient(objective.value(inputs), place, keep_graph=True).flatten(1))

    # Of nearly parallel vectors the difference keeps the digits that the cosine loses.
    half = (towards(smia) - towards(Deviation())).norm(dim=1) / 2
    right = event.task.right(victim.forward_no_grad(smia.smoothed(inputs).detach()), event.targets)
    return torch.rad2deg(2 * half.asin()), right, event.margin > 0


def words(met: Along) -> str:
    """The values in the right part of the picture."""
    flipped = met.degrees[~met.right]
    beaten = (~met.right & ~met.standing).sum()
    return (
        f"Along {STEPS} steps on {met.right.shape[1]} phantoms (alpha {ALPHA:g}, radius {RADIUS:g} stored value, run "
        f"to the end)\nthe smoothed decision is right at {int(met.right.sum())} of {met.right.numel()} iterates: "
        f"there the angle to BIM's gradient is rounding.\nAt the other {len(flipped)} it is {flipped.median():.1g} "
        f"degrees in the median and {flipped.max():.1g} at most.\n{int(beaten)} of these {len(flipped)} were beaten "
        "already, and from a beaten image an attack that stops at success takes no step."
    )


def draw(met: Along) -> bytes:
    """The picture as SVG."""
    style = {"font.family": "DejaVu Sans", "font.size": 9, "svg.hashsalt": "palpate", "svg.fonttype": "path"}
    with rc_context(style):
        figure = Figure(figsize=(11.6, 3.4), facecolor="white", layout="constrained")
        axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
        _plane(axes[0], "While the smoothed decision is right (y)", Y, BEFORE)
        _plane(axes[1], "Once the smoothed decision is c", C, AFTER)
        _angles(axes[2], met)
        held = io.BytesIO()
        figure.savefig(held, format="svg", metadata={"Date": None, "Creator": None})
    return held.getvalue()


def _plane(axes: Axes, title: str, taken_for: int, alphas: tuple[float, ...]) -> None:
    """The logits' plane with its three decisions, and one arrow for each weight."""
    axes.set_title(title, fontsize=10)
    axes.set(xlim=(-1.5, 2.1), ylim=(-1.15, 1.5), aspect="equal", xticks=[], yticks=[])
    corners = [(0, -3), (-4, -3), (-4, 4 / 3**0.5), (0, 4), (4, 4 / 3**0.5), (4, -3)]
    for name, at, shape, shade in (
        ("y, the truth", (-1.44, -1.08), corners[:3], "#eef4fb"),
        ("c", (1.95, -1.08), [corners[0], corners[5], corners[4]], "#fdf1e7"),
        ("a third class", (-1.44, 1.36), [corners[2], corners[3], corners[4]], "#f2f2f2"),
    ):
        axes.add_patch(Polygon([(0, 0), *shape], closed=True, facecolor=shade, edgecolor="white", linewidth=1.5))
        axes.text(*at, name, color="#555555")
    x, y = flat(torch.tensor(LOGITS, dtype=torch.float64))
    pulls = [flat(pull(alpha, taken_for)) for alpha in alphas]
    if taken_for == C:
        axes.plot(*zip(*((x + dx, y + dy) for dx, dy in pulls), strict=True), ":", color="#888888", zorder=2)
    for index, (alpha, (dx, dy)) in enumerate(zip(alphas, pulls, strict=True)):
        # Parallel arrows would hide each other, so before the flip they are drawn side by side.
        aside = 0.0 if taken_for == C else 0.26 * (index - 2)
        _arrow(axes, (x + 0.62 * aside, y - 0.78 * aside), (dx, dy), alpha, taken_for)
    if taken_for == C:
        axes.plot(x, y, "o", color="black", markersize=4, zorder=5)


def _arrow(axes: Axes, tail: tuple[float, float], along: tuple[float, float], alpha: float, taken_for: int) -> None:
    colour = COLOURS[alpha]
    tip = (tail[0] + along[0], tail[1] + along[1])
    if max(abs(along[0]), abs(along[1])) < 1e-9:
        axes.plot(*tail, "x", color=colour, markersize=6, zorder=4)
    else:
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", tip, tail, arrowprops=arrow, zorder=3)
    name, shift = NAMES[alpha], (7.0, 0.0)
    if taken_for == C and alpha == 1:
        name, shift = "α → 1: $z_c - z_y$", (0.0, -10.0)
    right = tip if along[0] > 0 else tail
    axes.annotate(name, right, shift, textcoords="offset points", color=colour, va="center")


def _angles(axes: Axes, met: Along) -> None:
    """Angle by step, one point for each image, in two colours."""
    axes.set_title("Angle to BIM's gradient along an attack", fontsize=10)
    steps, count = met.right.shape
    place = torch.arange(steps)[:, None] + (torch.arange(count) - (count - 1) / 2) * 0.06
    for chosen, colour, name in ((met.right, COLOURS[0.0], "right"), (~met.right, COLOURS[0.8], "flipped")):
        degrees = met.degrees[chosen].clamp(min=FLOOR)
        axes.plot(place[chosen], degrees, "o", color=colour, markersize=3.5, label=f"smoothed decision {name}")
    axes.set_yscale("log")
    axes.set(ylim=(FLOOR / 5, 90), xlabel="step", ylabel="degrees", xticks=range(steps))
    axes.axhline(1, color="#cccccc", linewidth=0.8, zorder=0)
    axes.text(steps - 0.5, 1.6, "1 degree", color="#888888", ha="right")
    axes.legend(loc="center left", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    """Write the picture, and its figures into the page."""
    met = along()
    PICTURE.write_bytes(draw(met))
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{words(met)}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
