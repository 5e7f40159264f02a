"""Print one table of several runs as Markdown: `python tools/clinic_table.py RUN... [--attack NAME] [--page PAGE]`.

One row a run and budget: what the files are, the budget in every unit, and what one attack leaves before and after the
files were saved. Every figure comes from the runs' results.json. With `--page`, the table replaces the text of that
page between `<!-- runs -->` and `<!-- end of runs -->`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from example_table import number, percent, table

Figures = dict[str, Any]
BEGIN, END = "<!-- runs -->", "<!-- end of runs -->"
HEAD = ["files", "images", "values", "budget", "Dice, clean", "Dice, attacked", "success", "after saving"]
FEW = 20
"""Below so many images a rate is written as a count; above, in percent."""


def rows(results: Figures, attack: str) -> list[list[str]]:
    """One row for each budget."""
    score = _score(results)
    left = next(one for one in results["survival"]["attacks"] if one["attack"] == attack)
    after = score["attacks"][attack]
    found = []
    for place, (budget, point) in enumerate(zip(results["budgets"], left["points"], strict=True)):
        saved = next((cell for cell in point["cells"] if cell["handling"] == "saved"), None)
        about = [_files(results), str(results["data"]["images"]), _values(results)] if not place else ["", "", ""]
        about += [
            ", ".join(budget["amounts"][not results["data"]["unit"] :]),
            number(score["clean"]) if not place else "",
        ]
        found.append(
            [*about, number(after[place]["figure"]), _share(point["before"]), _share(saved and saved["after"])]
        )
    return found


def _files(results: Figures) -> str:
    """The part of the title before its colon, and the formats."""
    return f"{results['title'].partition(':')[0]} ({', '.join(results['data']['formats'])})"


def _values(results: Figures) -> str:
    data = results["data"]
    unit = data["unit"] or "as stored"
    step = "floating point" if data["step"] is None else f"step {data['step']:g}"
    return f"{unit}, {step}, " + ("on the lattice" if results["threat"]["lattice"] else "anywhere in the ball")


def _share(figure: Figures | None) -> str:
    """A count if there are few images, else percent with the interval."""
    if figure is None or not figure["total"] or figure["total"] >= FEW:
        return percent(figure)
    return f"{figure['count']} of {figure['total']}"


def _score(results: Figures) -> Figures:
    name = results["task"]["score"]
    return next(one for one in results["series"] if (one["name"], one["part"], one["statistic"]) == (name, "", "mean"))


def main() -> None:
    """Print, or write into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, which hold results.json")
    parser.add_argument("--attack", default="dice-pgd", help="name in the plans")
    parser.add_argument("--page", type=Path, help="page with a place for the table")
    options = parser.parse_args()
    runs = [json.loads((run / "results.json").read_text()) for run in options.runs]
    text = "\n".join(table(HEAD, [row for results in runs for row in rows(results, options.attack)]))
    if options.page is None:
        print(text)
        return
    before, found, rest = options.page.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        parser.error(f"{options.page} has no place for it. Write '{BEGIN}' and '{END}' where the table belongs.")
    options.page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
