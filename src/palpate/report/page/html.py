"""The report in one file: every text escaped, no request to any server, readable without scripts."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from palpate.report.compute import parts
from palpate.report.compute.budgets import budget_columns, confined
from palpate.report.compute.results import measure
from palpate.report.draw import clinic as clinic_figures
from palpate.report.draw import figures
from palpate.report.draw import parts as part_figures
from palpate.report.draw.axis import scale_of
from palpate.report.draw.canvas import ROUND
from palpate.report.model import wording, words
from palpate.report.model.description import Description, failed_attacks, read_description
from palpate.report.model.families import said
from palpate.report.model.schema import Results
from palpate.report.model.typed import visible
from palpate.report.page import artefact_views, certificate_views, first, stability_views, stages, views
from palpate.report.page.cards import card
from palpate.report.page.pictures import embed
from palpate.report.page.templating import page_environment, script_hash, source
from palpate.storage import kept
from palpate.storage.runs import RunFolder
from palpate.storage.writing import write_atomically

# Once per process: reading the templates takes longer than filling them in.
_environment = cache(page_environment)

MAIN = (("tested", "What was tested"), ("results", "Results"), ("validity", "Trust in the figures"))
APPENDIX = (
    ("gallery", "Gallery", "images before and after"),
    ("attacks", "Attacks side by side", "all attacks, tests between them, costs, settings"),
    ("grading", "Grades under attack", "kappa, sensitivity, specificity, AUROC"),
    ("artefacts", "Artefacts", "every severity, and how the search went"),
    ("certificates", "Certified and attacked", "what holds for every change up to a length"),
    ("survival", "Survival in files", "after saving, compression and blur"),
    ("subgroups", "Sites and scanners", "the same figures for each"),
    ("stability", "Stability", "how the attacks run, step by step"),
    ("glossary", "Glossary and sources", "the words of this page"),
)
"""Sections that are folded on the screen and printed only on request: identity, title and what is there."""


def write_report(run: RunFolder, *, names: bool = False, full: bool = False, results: Results | None = None) -> Path:
    """Write `results.json` and `report.html` into the run folder, each whole or not at all.

    An unfinished run makes a report that says so at its top.

    Args:
        run: the run folder.
        names: show the file names of images in the gallery. They may identify patients, so the default is
            False.
        full: open everything that is folded, so that it is printed too.
        results: its figures, where they were measured already.

    Returns:
        The path of the report.

    Raises:
        StorageError: the run cannot be read, or the disk is full.
    """
    description, results = read_description(run), measure(run) if results is None else results
    data = json.dumps(results.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(run.results, (data + "\n").encode())
    write_atomically(run.report, render(run, description, results, names=names, full=full).encode())
    return run.report


def render(
    run: RunFolder, description: Description, results: Results, *, names: bool = False, full: bool = False
) -> str:
    """The report's HTML."""
    environment = _environment()
    script = source(environment, "report.js")
    drawings, pictures = _drawings(results), views.chosen(description.gallery, results)
    lost = kept.lost(run.path, description.files, exports=False)
    cards = [card(run, one, results, named=names, exports=description.exports, lost=lost) for one in pictures]
    artefacts = artefact_views.pieces(run, results, description, names=names, lost=lost)
    drawn = [*cards, *artefacts["artefact_gallery"]]
    page = environment.get_template("report.html.j2").render(
        r=results,
        words=wording.Wording(results.task),
        css=Markup(source(environment, "report.css") + _toggles(results)),
        script=Markup(script),
        script_hash=script_hash(script),
        full=full,
        open=" open" if full else "",
        sections={"main": MAIN, "appendix": _appendix(results, drawings)},
        figures=drawings,
        gallery=cards,
        overlays=any(one["marks"] for shown in drawn for plane in shown["slices"] for one in plane["pictures"]),
        volumes=any(len(shown["slices"]) > 1 or shown["slices"][0]["words"] for shown in cards),
        pictures=len(description.gallery),
        unable=sorted(failed_attacks(description)),
        gone=kept.sentence(lost),
        changes={one.picture: embed(run, one.picture) for attack in results.attacks for one in attack.learned_changes},
        exports=len(description.exports),
        rising=[one.name for one in description.attacks if one.curve == "rising"],
        bisected=[one for one in results.attacks if any(point.held for point in one.points)],
        stage_words=stages.sentence,
        stage_table=stages.table,
        plan=_plan(run),
        s=results.stability,
        **artefacts,
        **first.pieces(run, results, description, names=names, lost=lost),
        **certificate_views.pieces(results),
        **stability_views.pieces(
            run, results, description.stability.items if description.stability else [], names=names
        ),
        **_picks(results),
    )
    return page + "\n"


def _appendix(results: Results, drawings: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The folded sections of this kind of task."""
    there = {
        "grading": bool(drawings["grading"]),
        "artefacts": results.artefacts is not None,
        "certificates": results.certificates is not None,
        "survival": bool(results.survival.handlings),
        "subgroups": bool(results.subgroups),
    }
    return [one for one in APPENDIX if there.get(one[0], True)]


def _toggles(results: Results) -> str:
    """CSS rules: the check boxes above the gallery hide the shapes on its pictures, without a script."""
    if results.task.classification:
        return ""
    names = ["truth", "found", *(f"part-{index}" for index in range(len(results.task.classes)))]
    return "".join(f"#gallery:has(#show-{name}:not(:checked)) .marks .{name} {{ display: none; }}\n" for name in names)


def _operating(results: Results) -> str:
    """The operating point in words; empty if the task has none."""
    task, point = results.task, results.task.operating
    texts = [
        f"{name} {words.amount(value)}"
        for name, value in (("confidence", point.confidence), ("overlap", point.overlap))
        if value is not None
    ]
    if len(point.thresholds) == 1:
        texts.append(f"a probability above {point.thresholds[0]:g}")
    else:
        texts += [f"{name} above {value:g}" for name, value in zip(task.classes, point.thresholds, strict=False)]
    return ", ".join(texts)


def _picks(results: Results) -> dict[str, Any]:
    scale, worst = scale_of(results), figures.worst_of(results)
    headline = next((one for one in worst.points if one.eps == results.verdict.eps), None) if worst else None
    return {
        "scale": scale,
        "knowledge": views.knowledge(results),
        "limits": views.limits(results),
        "threat": views.threat_words(results),
        "worst": worst,
        "headline": headline,
        "complete": views.complete_attacks(results),
        "compared": figures.compared(results),
        "compared_all": figures.compared(results, None),
        "family": said,
        "looks": {one.name: (index % ROUND + 1, index >= ROUND) for index, one in enumerate(results.attacks)},
        "disease": [results.task.classes[index] for index in results.task.disease],
        "outside": views.outside(results),
        "how_intervals": f"{views.interval_words(results)} {views.fewer_words(results)}".strip(),
        "test": views.test_words(results),
        "checks": views.by_gravity(results.validity.checks),
        "trust": views.trust(results.validity.goals),
        "paired": views.paired(results),
        "worst_grading": {name: views.worst_gradings(results, name, scale) for name, _ in views.gradings(results)},
        "sources": views.sources(results),
        "panels": parts.panels(results, scale.eps) if scale.eps else [],
        "operating": _operating(results),
        "columns": budget_columns(results.budgets, results.data),
        "step_looks": clinic_figures.step_colours(results),
        "confined": confined(results.threat, results.data),
        "froc_attack": parts.froc_attack(results, scale.eps),
    }


def _drawings(results: Results) -> dict[str, Any]:
    untargeted = figures.untargeted(results)
    ran = [attack for attack in results.attacks if attack.points]
    has_directions = bool(results.worst_directions)
    scale = scale_of(results)
    charts = parts.panels(results, scale.eps) if scale.eps else []
    free, attack_of_froc = bool(results.froc) and bool(ran), parts.froc_attack(results, scale.eps)
    panels = [(attack, figures.attack_panel(results, attack, f"panel-{index}")) for index, attack in enumerate(ran)]
    return {
        "robustness": _safe(figures.robustness(results)) if untargeted else None,
        "curve": _safe(figures.main_curve(results)) if untargeted else None,
        "per_class": _safe(figures.per_class(results)) if untargeted and results.task.classification else None,
        "parts": [(panel, _safe(part_figures.chart(results, panel, scale))) for panel in charts],
        "froc": _safe(part_figures.froc(results, scale, attack_of_froc)) if free else None,
        "panels": [(attack, _safe(drawing)) for attack, drawing in panels],
        "survival": [
            (one, _safe(clinic_figures.survival(results, one, scale, f"survival-{index}")))
            for index, one in enumerate(results.survival.attacks)
        ],
        "subgroups": [_safe(clinic_figures.subgroups(one)) for one in results.subgroups],
        "missed_disease": _safe(figures.direction(results, "missed_disease")) if has_directions else None,
        "invented_disease": _safe(figures.direction(results, "invented_disease")) if has_directions else None,
        "grading": [
            (name, title, _safe(figures.grading(results, name))) for name, title in views.gradings(results) if ran
        ],
    }


def _safe(svg: str) -> Markup:
    # Matplotlib and `canvas` escape every text of a drawing; a test passes hostile names.
    return Markup(svg)


def _plan(run: RunFolder) -> str | None:
    try:
        return visible(run.plan.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
