"""Write docs/explanation/fundus_dr.md from a run's results.json: `python examples/fundus_dr/write_page.py [RUN]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "explanation" / "fundus_dr.md"
READING = "\n## What the figures show\n"
"""The text below this heading is written by hand and kept."""

COMMANDS = """```sh
ln -s /path/to/aptos examples/fundus_dr/data
.venv/bin/python examples/fundus_dr/train.py --data examples/fundus_dr/data
.venv/bin/palpate audit examples/fundus_dr/plan.toml
.venv/bin/python examples/fundus_dr/write_page.py
```"""


def percent(figure: dict[str, Any] | None) -> str:
    """Value with its interval."""
    if figure is None or figure["value"] is None:
        return ""
    return f"{figure['value']:.1%} ({figure['low']:.0%}-{figure['high']:.0%})".replace("%", "")


def number(figure: dict[str, Any] | None) -> str:
    """A figure that is not a percentage."""
    return "" if figure is None or figure["value"] is None else f"{figure['value']:.2f}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown lines."""
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


def page(results: dict[str, Any]) -> str:
    """The page, from the results."""
    eps = [f"eps {point['eps']:g}" for point in results["attacks"][0]["points"]]
    untargeted = [attack for attack in results["attacks"] if attack["goal"] == "untargeted"]
    clinical = [attack for attack in results["attacks"] if attack["goal"] != "untargeted"]
    seconds = sum(attack["seconds"] or 0 for attack in results["attacks"])
    clean, model, data = results["clean"], results["model"], results["data"]
    grading = clean["grading"]
    lines = [
        "# Grading diabetic retinopathy, audited",
        "",
        f"A half-width ResNet-18 of MONAI ({model['parameters']:,} parameters), trained without any defence on APTOS "
        f"2019 (five grades), audited on the {data['images']} test images. Preprocessing: {model['preprocess']}. "
        "L-inf; eps is in stored 8-bit values of the 224 x 224 images, so eps 1 is 1/255 of the range.",
        "",
        COMMANDS,
        "",
        f"The audit took {seconds / 60:.0f} minutes on two cores, all attacks together. Every number below was "
        "written by the last command from `results.json`; percentages with 95 % intervals.",
        "",
        f"Before any attack: accuracy {percent(clean['accuracy'])} %, quadratic weighted kappa "
        f"{number(grading['quadratic_kappa'])}, referable disease (grade 2 and above) sensitivity "
        f"{number(grading['sensitivity'])}, specificity {number(grading['specificity'])}.",
        "",
        "## Robust accuracy, percent of all images",
        "",
        *table(
            ["attack", *eps, "passes per image", "seconds"],
            [
                [
                    attack["name"] + (" (leaves the ball)" if attack["outside_budget"] else ""),
                    *(percent(point["robust_accuracy"]) for point in attack["points"]),
                    f"{(attack['forwards'] + attack['backwards']) / max(attack['images'], 1):.0f}",
                    f"{attack['seconds']:.0f}",
                ]
                for attack in untargeted
            ],
        ),
        *(
            line
            for worst in results["worst_case"]
            if worst["goal"] == "untargeted"
            for line in table(
                ["worst case over the projected attacks", *eps],
                [["**worst case, image by image**", *(percent(point["figure"]) for point in worst["points"]), "", ""]],
            )[2:]
        ),
        "",
        "## Clinical goals, success in percent of the images they apply to",
        "",
        *table(
            ["goal", "eligible", *eps],
            [
                [
                    attack["goal"],
                    str(attack["eligible"]),
                    *(percent(point["success_rate"]) for point in attack["points"]),
                ]
                for attack in clinical
            ],
        ),
        "",
        "## Grading under `apgd-margin`",
        "",
        *table(
            ["figure", *eps],
            [
                [title, *(number(point["grading"][key]) for point in _named(untargeted, "apgd-margin")["points"])]
                for title, key in (
                    ("quadratic weighted kappa", "quadratic_kappa"),
                    ("sensitivity, referable", "sensitivity"),
                    ("specificity, referable", "specificity"),
                )
            ],
        ),
        "",
        f"Validity {results['validity']['grade']}: {results['validity']['reason']}",
    ]
    return "\n".join(lines) + "\n"


def _named(attacks: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(attack for attack in attacks if attack["name"] == name)


if __name__ == "__main__":
    run = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "runs" / "plan"
    kept = PAGE.read_text().partition(READING) if PAGE.is_file() else ("", "", "")
    PAGE.write_text(page(json.loads((run / "results.json").read_text())) + kept[1] + kept[2])
