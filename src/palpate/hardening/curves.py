"""The course of a training as one drawing: clean, robust and single-step score per epoch."""

from __future__ import annotations

from palpate.hardening.contracts import Trained
from palpate.report.draw.canvas import MUTED, SERIES, SvgCanvas

_LINES = (("clean", SERIES[0], "-", "o"), ("robust", SERIES[1], "-", "s"), ("single", SERIES[2], (0, (5, 2)), "^"))
_NAMES = {"clean": "clean", "robust": "robust", "single": "one step"}


def curves(trained: Trained) -> str:
    """An SVG with the scores of all epochs; the chosen epoch is marked."""
    rows = trained.epochs
    with SvgCanvas(620, 300, (46, 46, 120, 16)) as canvas:
        canvas.percent_axis()
        axes = canvas.axes
        places = range(len(rows))
        for field, colour, style, marker in _LINES:
            scores = [getattr(row, field) for row in rows]
            axes.plot(places, scores, color=colour, linestyle=style, marker=marker, linewidth=1.8, markersize=4.5)
            axes.annotate(
                _NAMES[field],
                (len(rows) - 1, scores[-1]),
                (8, 0),
                textcoords="offset points",
                color=colour,
                va="center",
            )
        chosen = next((place for place, row in enumerate(rows) if row.epoch == trained.best), 0)
        axes.axvline(chosen, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_xticks(places, [str(row.epoch) for row in rows])
        axes.set_xlabel(
            f"epoch; {rows[chosen].epoch} was chosen, 0 is the model before training", color=MUTED, labelpad=6
        )
        drawn = canvas.svg("Scores on the validation images", _in_words(trained), "curves")
    return _alone(drawn)


def _in_words(trained: Trained) -> str:
    first, best = trained.epochs[0], next(row for row in trained.epochs if row.epoch == trained.best)
    return (
        f"Robust score {first.robust:.1%} before training and {best.robust:.1%} in epoch {best.epoch}, "
        f"clean score {first.clean:.1%} and {best.clean:.1%}."
    )


def _alone(drawn: str) -> str:
    """The drawing outside a page, which has no colours to give it."""
    names = {"ink": "#1c1c1c", "muted": "#6b6b6b", "line": "#dddddd", "accent": "#aa3333", "sans": "sans-serif"}
    names |= {f"s{place}": colour for place, colour in enumerate(("#1f6f8b", "#b0413e", "#6a8d3c"), start=1)}
    for name, value in names.items():
        drawn = drawn.replace(f"var(--{name})", value)
    return drawn
