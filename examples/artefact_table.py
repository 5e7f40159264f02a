"""Print what artefacts did in a run as Markdown: `python examples/artefact_table.py RUN [--page PAGE]`.

Every figure comes from the run's results.json. With `--page`, it replaces the text of that page between
`<!-- run: RUN -->` and `<!-- end of run -->`, where RUN is the run folder as it was given.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tools")]

from example_table import number, percent, table, write_into  # noqa: E402

Figures = dict[str, Any]
NAMES = {"dice": "Dice", "iou": "IoU", "f1": "F1"}
CLASSES = {"binary", "multiclass", "ordinal"}
"""Tasks whose score is the share of right decisions."""


def everything(results: Figures) -> list[str]:
    """Images and search, the table, what the strengths are, and the attacks of the same audit."""
    return [*opening(results), "", *artefacts(results), "", *strengths(results), "", *attacks(results)]


def opening(results: Figures) -> list[str]:
    """How many images, what is counted, and how thoroughly each artefact was searched."""
    data, items = results["data"], results["artefacts"]["items"]
    whole = items[0]["images"]
    searches = {
        f"{item['ladder']['draws']} random ones at each severity; k = {item['tries']} and a search of "
        f"{item['ladder']['evolution']} queries at severity {item['searched']:g}": None
        for item in items
    }
    words = next(iter(searches)) if len(searches) == 1 else "the searches differ, see the plan"
    queries = sum(item["queries"] for item in items) / max(1, sum(item["images"] for item in items))
    seconds = sum(item["seconds"] or 0 for item in items)
    known = "" if whole == data["images"] else f" ({whole} so far)"
    return [
        f"{data['images']} images{known}. Figures are the {_score(results)}. For each image and artefact: {words}; "
        f"{queries:.0f} queries on average. All artefacts together took {seconds / 60:.1f} minutes on one shared core."
    ]


def artefacts(results: Figures) -> list[str]:
    """A line for each artefact: clean, random, worst of k, worst found, images that fail, first failing severity."""
    severities = [f"random, {severity}" for severity in range(1, 6)]
    head = ["artefact", "clean", *severities, "worst of k", "worst found", "images that fail", "first failing severity"]
    rows = []
    for item in results["artefacts"]["items"]:
        points = {round(point["severity"]): point for point in item["points"]}
        worst = item["worst"]
        rows.append(
            [
                f"`{item['name']}`",
                _written(results, item, None),
                *(_written(results, item, points[at]) if at in points else "-" for at in range(1, 6)),
                _written(results, item, item["worst_of"]) if item["worst_of"] else "-",
                _written(results, item, worst) if worst else "-",
                f"{worst['failed']} of {worst['eligible']}" if worst else "-",
                first_failing(item["first_failing"]),
            ]
        )
    return table(head, rows)


def first_failing(found: Figures | None) -> str:
    """The median severity in units with its interval: `2.1 (1.4-3.2): diameter 4.2 mm`."""
    if found is None or not found["eligible"]:
        return "-"
    if found["median"] is None:
        return f"not reached: {found['failed']} of {found['eligible']} ever fail"
    low = "-" if found["low"] is None else f"{found['low']:.2g}"
    high = f"-{found['high']:.2g}" if found["high"] is not None else " to above 5"
    return f"{found['median']:.2g} ({low}{high}): {found['words']}"


def strengths(results: Figures) -> list[str]:
    """What the lowest and the highest severity are in units."""
    rows = [[f"`{item['name']}`", *(item["levels"][at] for at in (0, -1))] for item in results["artefacts"]["items"]]
    return table(["artefact", "severity 1", "severity 5"], rows)


def attacks(results: Figures) -> list[str]:
    """The attacks of the same audit, and the sentence that puts them beside the artefacts."""
    eps = [f"{point['eps']:g}" for point in results["attacks"][0]["points"]]
    rows = [
        [
            f"`{attack['name']}`",
            str(attack["eligible"]),
            *(percent(point["success_rate"]) for point in attack["points"]),
        ]
        for attack in results["attacks"]
    ]
    beside = results["artefacts"]["side_by_side"]
    return [*table(["attack", "eligible", *(f"success in %, eps {at}" for at in eps)], rows), "", f"> {beside}"]


def _score(results: Figures) -> str:
    task = results["task"]
    return "accuracy in %" if task["kind"] in CLASSES else f"mean {NAMES.get(task['score'], task['score'])}"


def _written(results: Figures, item: Figures, decided: Figures | None) -> str:
    """The score of an artefact's figures; of the clean images without any."""
    name = "acceptable" if results["task"]["kind"] in CLASSES else "score"
    figure = item[f"clean_{name}"] if decided is None else decided[name]
    return percent(figure) if name == "acceptable" else number(figure)


def main() -> None:
    """Print, or write into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run folder, which holds results.json")
    parser.add_argument("--page", type=Path, help="page with a place for this run")
    options = parser.parse_args()
    text = "\n".join(everything(json.loads((Path(options.run) / "results.json").read_text())))
    if options.page is None:
        print(text)
        return
    try:
        write_into(options.page, options.run, text)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
