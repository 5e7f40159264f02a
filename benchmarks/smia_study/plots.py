"""The drawings of the study, from its figures: SVG files that print well, attacks in the same colour everywhere."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.smia_study.gather import is_peer
from benchmarks.smia_study.markdown import entry

Figures = dict[str, Any]
INK, MUTED, LINE = "#17202b", "#586573", "#dce2e8"
COLOURS = {
    "bim": "#0072b2",
    "pgd": "#009e73",
    "smia": "#d55e00",
    "smia, step label detached": "#d29200",
    "smia, perturbation distribution through": "#7a5195",
    "smia, perturbation distribution detached": "#85642c",
    "steadfast": "#a23325",
}
"""Those that the text speaks of; all others are grey."""
MARKERS = {"bim": "o", "pgd": "s", "smia": "D", "smia, step label detached": "d", "steadfast": "^"}
SHORT = {
    "smia, step label detached": "smia, published form",
    "smia, perturbation distribution through": "smia, through",
    "smia, perturbation distribution detached": "smia, detached",
}
SETTINGS = {
    "svg.hashsalt": "palpate",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}


def draw(figures: Figures, folder: Path, form: str = "svg") -> list[Path]:
    """Write every drawing that the figures allow; returns the files.

    Args:
        figures: the document of the study.
        folder: where the files go.
        form: `svg`, or `png` to look at.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, picture in PICTURES.items():
        with rc_context(SETTINGS):
            figure = picture(figures)
            if figure is not None:
                path = folder / f"{name}.{form}"
                path.write_bytes(_written(figure, form))
                made.append(path)
    return made


def _written(figure: Figure, form: str) -> bytes:
    FigureCanvasAgg(figure)
    sink = io.BytesIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type")) if form == "svg" else None
    figure.savefig(sink, format=form, dpi=110, facecolor="white", metadata=metadata)
    return sink.getvalue()


def _grid(columns: int, rows: int, width: float, height: float, **shared: Any) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.flat:
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        ax.tick_params(length=2, labelsize=8)
        ax.tick_params(axis="y", length=0)
        ax.set_axisbelow(True)
    return figure, [list(row) for row in axes]


def _main(figures: Figures) -> list[tuple[str, Figures]]:
    """The benchmarks at their main budgets, with the titles above their axes."""
    found = [figures["settings"][key] for key in figures["main"]]
    return [(_title(figures, own["benchmark"], f"eps {own['eps']:g}"), own) for own in found]


def _title(figures: Figures, benchmark: str, more: str) -> str:
    what, _, network = figures["benchmarks"][benchmark]["words"].partition(", ")
    return f"{what}\n{network}, {more}"


def _columns(found: Sequence[Any]) -> int:
    return -(-len(found) // -(-len(found) // 4))


def _panels(found: Sequence[Any], width: float, height: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """At most four panels a row, those that are left over empty."""
    rows = -(-len(found) // 4)
    columns = _columns(found)
    figure, axes = _grid(columns, rows, 0.9 + width * columns, 0.7 + height * rows, **shared)
    flat = [ax for row in axes for ax in row]
    for ax in flat[len(found) :]:
        ax.set_visible(False)
    return figure, flat


def _attacks(found: Sequence[tuple[str, Figures]]) -> list[str]:
    names = list(dict.fromkeys(attack for _, own in found for attack in own["attacks"]))
    return sorted(names, key=lambda name: (not is_peer(name), name == "steadfast"))


def _style(attack: str) -> dict[str, Any]:
    plain = attack.removesuffix(", random start")
    hollow = {"markerfacecolor": "white"} if plain != attack else {}
    return {"color": COLOURS.get(plain, MUTED), "marker": MARKERS.get(plain, "o"), **hollow}


def _whisker(ax: Axes, x: float, figure: Sequence[float | None], attack: str, *, flat: bool, size: float = 5) -> None:
    """A point with its interval; `flat`: along the horizontal axis, at height x."""
    value, low, high = figure
    if value is None:
        return
    style = _style(attack)
    if low is not None and high is not None:
        ends, at = [low, high], [x, x]
        ax.plot(*((ends, at) if flat else (at, ends)), color=style["color"], linewidth=1.3, solid_capstyle="butt")
    ax.plot(*(([value], [x]) if flat else ([x], [value])), linestyle="", markersize=size, clip_on=False, **style)


def _shares(ax: Axes, axis: str) -> None:
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    (ax.set_xlim if axis == "x" else ax.set_ylim)(-0.03, 1.03)
    (ax.set_xticks if axis == "x" else ax.set_yticks)(ticks, [f"{100 * tick:.0f}" for tick in ticks])
    ax.grid(axis=axis, color=LINE, linewidth=0.7)


def strength(figures: Figures) -> Figure | None:
    """Success before saving at equal passes: one panel a benchmark, one line an attack."""
    found = _main(figures)
    attacks = _attacks(found)
    figure, axes = _panels(found, 1.8, 0.4 + 0.2 * len(attacks), sharey=True)
    for ax, (title, own) in zip(axes, found, strict=False):
        for place, attack in enumerate(reversed(attacks)):
            if (one := entry(own, attack, "passes") or entry(own, attack, "steps")) is not None:
                _whisker(ax, place, one["success"]["before"], attack, flat=True)
        ax.set_title(title, fontsize=8.5, loc="left", color=INK)
        _shares(ax, "x")
    axes[0].set_ylim(-0.6, len(attacks) - 0.4)
    axes[0].set_yticks(range(len(attacks)), [SHORT.get(name, name) for name in reversed(attacks)])
    figure.supxlabel("success in percent of the eligible images, with 95% intervals, at equal passes", fontsize=9)
    return figure


KEYS = ("bim", "pgd", "smia", "smia, step label detached", "smia, perturbation distribution through", "steadfast")


def survival(figures: Figures) -> Figure | None:
    """Success before and after what happens to files, at equal passes: one panel a benchmark."""
    return _after(figures, "success", "success in percent")


def scores(figures: Figures) -> Figure | None:
    """Mean score before and after what happens to files, at equal passes."""
    return _after(figures, "score", "mean score")


def _after(figures: Figures, what: str, label: str) -> Figure | None:
    found = _main(figures)
    figure, flat = _panels(found, 2.3, 2.3)
    for ax, (title, own) in zip(flat, found, strict=False):
        strongest = figures["strongest"][f"{own['benchmark']}@{own['eps']:g}"]
        chosen = [name for name in dict.fromkeys((*KEYS[:-1], strongest, KEYS[-1])) if name in own["attacks"]]
        for place, attack in enumerate(chosen):
            if (one := entry(own, attack, "passes")) is not None:
                for position, after in enumerate(own["outcomes"]):
                    x = position + 0.13 * (place - (len(chosen) - 1) / 2)
                    _whisker(ax, x, one[what][after], attack, flat=False, size=3.6)
        _clean(ax, own, what)
        ax.set_title(title, fontsize=8.5, loc="left", color=INK)
        ax.set_xticks(range(len(own["outcomes"])), own["outcomes"], rotation=35, ha="right", rotation_mode="anchor")
        _shares(ax, "y")
        if what == "score":
            ax.set_yticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "0.25", "0.5", "0.75", "1"])
    for ax in flat[:: _columns(found)]:
        ax.set_ylabel(label)
    _legend(figure, figures, found, grey=True)
    return figure


def _clean(ax: Axes, own: Figures, what: str) -> None:
    """The effect of post-processing without an attack: a short grey line."""
    for position, after in enumerate(own["outcomes"]):
        figure = own["alone"].get(after) if what == "success" else own["clean_score"].get(after)
        if figure is not None and figure[0] is not None:
            ax.plot(
                [position - 0.36, position + 0.36], [figure[0]] * 2, color=MUTED, linewidth=1, linestyle=(0, (2, 1.5))
            )


def _legend(figure: Figure, figures: Figures, found: Sequence[tuple[str, Figures]], *, grey: bool = False) -> None:
    from matplotlib.lines import Line2D

    shown = [name for name in KEYS if any(name in own["attacks"] for _, own in found)]
    handles = [
        Line2D([], [], linewidth=1.3, markersize=4.5, label=SHORT.get(name, name), **_style(name)) for name in shown
    ]
    if grey:
        handles.append(Line2D([], [], linewidth=1.3, markersize=4.5, label="strongest other peer", **_style("")))
        handles.append(Line2D([], [], color=MUTED, linewidth=1, linestyle=(0, (2, 1.5)), label="no attack"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8.5)


COMPARED = ("bim", "smia", "steadfast")
CURVES = {
    "kl_smoothed": "KL(f(x_t) || f(xs_t)): to its smoothed step",
    "kl_final": "KL(f(x_t) || f(x_T)): to where it ends",
    "kl_clean": "KL(f(x) || f(x_t)): from where it began",
}


def curves(figures: Figures) -> Figure | None:
    """KL over the steps, median over images with the band of the quartiles: BIM, SMIA, ours."""
    traced = figures["traced"]
    if not traced:
        return None
    figure, axes = _grid(len(CURVES), len(traced), 8.6, 0.8 + 1.55 * len(traced))
    for row, (benchmark, found) in enumerate(traced.items()):
        for ax, name in zip(axes[row], CURVES, strict=True):
            for attack in [one for one in COMPARED if one in found]:
                _curve(ax, found[attack]["bands"][name], attack)
            ax.grid(axis="y", color=LINE, linewidth=0.7)
            ax.set_ylim(bottom=0)
        some = next(iter(found.values()))
        label = _title(figures, benchmark, f"eps {some['eps']:g}") + f"\n{some['images']} images"
        axes[row][0].set_ylabel(label, fontsize=8)
    for ax, label in zip(axes[0], CURVES.values(), strict=True):
        ax.set_title(label, fontsize=8.5, loc="left", color=INK)
    figure.supxlabel("steps taken, t; median over images, band from the first to the third quartile", fontsize=9)
    _legend_of(figure, COMPARED)
    return figure


def _curve(ax: Axes, band: Figures, attack: str) -> None:
    steps = range(len(band["median"]))
    median, low, high = (
        [float("nan") if one is None else one for one in band[end]] for end in ("median", "low", "high")
    )
    colour, dashed = COLOURS[attack], (0, (4, 2)) if attack == "smia" else "-"
    ax.fill_between(steps, low, high, color=colour, alpha=0.13, linewidth=0)
    ax.plot(steps, median, color=colour, linewidth=1.5, linestyle=dashed)


def _legend_of(figure: Figure, attacks: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLOURS[one], linewidth=1.5, linestyle=(0, (4, 2)) if one == "smia" else "-", label=one)
        for one in attacks
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), frameon=False, fontsize=8.5)


def _told(own: Figures, attack: str) -> bool:
    """Whether the changes of several seeds were kept."""
    one = entry(own, attack, "steps")
    return one is not None and one["across_seeds"]["change"][0] is not None


def spread(figures: Figures) -> Figure | None:
    """The spread of the last changes of three seeds: attacks that draw random numbers, one panel per benchmark."""
    found = _main(figures)
    attacks = [
        name for name in _attacks(found)
        if any(_told(own, name) for _, own in found)
    ]  # fmt: skip
    found = [(title, own) for title, own in found if any(_told(own, name) for name in attacks)]
    if not attacks:
        return None
    figure, axes = _panels(found, 1.8, 0.6 + 0.25 * len(attacks), sharey=True)
    for ax, (title, own) in zip(axes, found, strict=False):
        for place, attack in enumerate(reversed(attacks)):
            if (one := entry(own, attack, "steps")) is not None:
                _whisker(ax, place, one["across_seeds"]["change"], attack, flat=True)
        ax.set_title(title, fontsize=8.5, loc="left", color=INK)
        ax.set_xlim(-0.03, 1.03)
        ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
        ax.grid(axis="x", color=LINE, linewidth=0.7)
    axes[0].set_ylim(-0.6, len(attacks) - 0.4)
    axes[0].set_yticks(range(len(attacks)), [SHORT.get(name, name) for name in reversed(attacks)])
    figure.supxlabel(
        "standard deviation of the last change over three seeds, mean over pixels and images, in eps", fontsize=9
    )
    return figure


PICTURES: dict[str, Callable[[Figures], Figure | None]] = {
    "strength": strength,
    "survival": survival,
    "scores": scores,
    "curves": curves,
    "spread": spread,
}
