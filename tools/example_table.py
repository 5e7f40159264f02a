"""Print the result table of a run as Markdown: `python tools/example_table.py RUN [--survival] [--page PAGE]`.

Every figure comes from the run's results.json. With `--survival` it is what is left after each post-processing step.
With `--page`, it replaces the text of that page between `<!-- run: RUN -->` and `<!-- end of run -->`, where RUN is
the run folder as it was given.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
END = "<!-- end of run -->"
SHOWN = (("dice", "mean"), ("hd95", "median"), ("volume", "mean"), ("area", "mean"))
"""Measures of a structure, and the statistic over the images."""
NAMES = {"dice": "Dice", "hd95": "HD95"}
BOXES = (
    ("map50", "mAP@0.5"),
    ("map", "mAP@0.5:0.95"),
    ("recall", "recall"),
    ("false_positives", "false positives per image"),
    ("froc", "FROC score"),
)
"""Figures of a detector over all images."""


def table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Markdown lines."""
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


def percent(figure: Figures | None) -> str:
    """A proportion with its interval, in percent."""
    if figure is None or figure["value"] is None:
        return "-"
    low, high = (figure[end] for end in ("low", "high"))
    return f"{100 * figure['value']:.0f}" + ("" if low is None else f" ({100 * low:.0f}-{100 * high:.0f})")


def number(figure: Figures | None) -> str:
    """A figure that is not a proportion, without its interval."""
    return "-" if figure is None or figure["value"] is None else f"{figure['value']:.3g}"


def everything(results: Figures) -> list[str]:
    """The result tables of a run of any task."""
    return [*opening(results), "", *attacks(results), "", *structures(results), *boxes(results)]


def opening(results: Figures) -> list[str]:
    """The model and the images, and the scores before any attack."""
    clean, data, model = results["clean"]["accuracy"], results["data"], results["model"]
    score = _series(results, results["task"]["score"], "", "mean")
    before = "" if score is None else f", mean {results['task']['score'].capitalize()} {number(score['clean'])}"
    return [
        f"{model['parameters']:,} parameters, {data['images']} images. Before any attack: acceptable (score above "
        f"{results['task']['floor']:g}) {percent(clean)} %{before}. Validity {results['validity']['grade']}: "
        f"{results['validity']['reason']}"
    ]


def attacks(results: Figures) -> list[str]:
    """Success and mean score of every attack at every budget, and what it cost."""
    eps = [f"{point['eps']:g}" for point in results["attacks"][0]["points"]]
    score = _series(results, results["task"]["score"], "", "mean")
    name = results["task"]["score"].capitalize()
    head = ["attack", "goal", "eligible", *(f"success, eps {at}" for at in eps), *(f"{name}, eps {at}" for at in eps)]
    rows = []
    for attack in results["attacks"]:
        after = [] if score is None else score["attacks"].get(attack["name"], [])
        passes = (attack["forwards"] + attack["backwards"]) / max(attack["images"], 1)
        rows.append(
            [
                f"`{attack['name']}`",
                attack["goal"],
                str(attack["eligible"]),
                *(percent(point["success_rate"]) for point in attack["points"]),
                *(number(point["figure"]) for point in after),
                f"{passes:.0f}",
            ]
        )
    return table([*head, "passes per image"], rows)


def structures(results: Figures) -> list[str]:
    """Measures of each structure, without an attack and under each attack at the largest budget."""
    shown = [
        found
        for part in dict.fromkeys(series["part"] for series in results["series"] if series["part"])
        for measure, statistic in SHOWN
        if (found := _series(results, measure, part, statistic)) is not None
    ]
    if not shown:
        return []
    largest = results["attacks"][0]["points"][-1]["eps"]
    head = [f"at eps {largest:g}", *(_title(series) for series in shown)]
    rows = [["no attack", *(number(series["clean"]) for series in shown)]]
    for attack in results["attacks"]:
        points = [series["attacks"].get(attack["name"]) for series in shown]
        rows.append([f"`{attack['name']}`", *(number(point[-1]["figure"]) if point else "-" for point in points)])
    return table(head, rows)


def boxes(results: Figures) -> list[str]:
    """Figures of a detector over all images, without an attack and under each attack at each budget."""
    shown = [(head, found) for name, head in BOXES if (found := _series(results, name, "")) is not None]
    if not shown:
        return []
    of_class = [series for series in results["series"] if series["name"] == "map50" and series["part"]]
    shown += [(f"AP@0.5 {series['part']}", series) for series in of_class]
    rows = [["no attack", "", *(number(series["clean"]) for _, series in shown)]]
    for attack in results["attacks"]:
        for place, point in enumerate(attack["points"]):
            figures = [series["attacks"][attack["name"]][place]["figure"] for _, series in shown]
            rows.append([f"`{attack['name']}`", f"{point['eps']:g}", *map(number, figures)])
    return table(["", "eps", *(head for head, _ in shown)], rows)


def survival(results: Figures) -> list[str]:
    """Success before and after each post-processing step, a table for each budget; then the gain of `robust_to`."""
    found, data = results["survival"], results["data"]
    together = next(one for one in found["attacks"] if one["attack"] is None)
    attacks = [one for one in found["attacks"] if one["attack"] is not None]
    lines = [
        f"Success in percent of the {together['points'][0]['before']['total']} of {data['images']} images that are "
        f"acceptable without an attack. Files: {', '.join(data['formats'])}. Attacks searched "
        + ("only among values that the files can store." if results["threat"]["lattice"] else "in floating point."),
    ]
    for place, point in enumerate(together["points"]):
        head = [f"eps {point['eps']:g}", "no attack", *(f"`{one['attack']}`" for one in attacks)]
        points = [one["points"][place] for one in attacks]
        rows = [["before", "-", *(percent(one["before"]) for one in points)]]
        for at, cell in enumerate(point["cells"]):
            after = [percent(one["cells"][at]["after"]) for one in points]
            rows.append([f"`{cell['handling']}`", percent(cell["alone"]), *after])
        lines += ["", *table(head, rows)]
    return lines + bought(found["bought"], grouped=results["intervals"]["clustered"])


def bought(pairs: list[Figures], *, grouped: bool) -> list[str]:
    """How many images an attack beats only with, or only without `robust_to`, before and after each step."""
    lines, test = [], "p (sign flips by patient, Holm)" if grouped else "p (McNemar, Holm)"
    for pair in pairs:
        names = [f"only `{pair[one]}`" for one in ("plain", "attack")]
        rows = [
            [
                (f"`{row['handling']}`" if row["handling"] else "before")
                + (", in robust_to" if row["climbed"] else ""),
                *(str(row[one]) for one in ("only_plain", "only_attack")),
                f"{row['p_holm']:.2g}",
            ]
            for row in pair["rows"]
        ]
        passes = [f"{pair[one]:.0f}" for one in ("plain_passes", "passes")]
        rows.append(["backward passes per image, all eps", *passes, ""])
        lines += ["", *table([f"images beaten at eps {pair['eps']:g}", *names, test], rows)]
    return lines


def _title(series: Figures) -> str:
    unit = f", {series['unit']}" if series["unit"] else ""
    return f"{series['part']}: {series['statistic']} {NAMES.get(series['name'], series['name'])}{unit}"


def _series(results: Figures, name: str, part: str, statistic: str | None = None) -> Figures | None:
    """The series of this name and part, with the given statistic if there are several."""
    found = [one for one in results["series"] if (one["name"], one["part"]) == (name, part)]
    return next((one for one in found if statistic in (None, one["statistic"])), None)


def write_into(page: Path, run: str, text: str) -> None:
    """Replace the text of a page in the place of a run.

    Raises:
        ValueError: the page has no such place.
    """
    begin = f"<!-- run: {run} -->"
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{page} has no place for this run. Write '{begin}' and '{END}' where its table belongs.")
    page.write_text(f"{before}{begin}\n{text}\n{END}{after}")


def main() -> None:
    """Print, or write into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="run folder, which holds results.json")
    parser.add_argument("--survival", action="store_true", help="what is left after each post-processing step")
    parser.add_argument("--page", type=Path, help="page with a place for this run")
    options = parser.parse_args()
    results = json.loads((Path(options.run) / "results.json").read_text())
    text = "\n".join(survival(results) if options.survival else everything(results))
    if options.page is None:
        print(text)
        return
    try:
        write_into(options.page, options.run, text)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
