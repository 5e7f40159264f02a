"""The figures as Markdown tables. A figure is `[value, low, high]`; percent where it is a share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.smia_study.gather import BOTH, is_peer

Figures = dict[str, Any]
Interval = Sequence[float | None]
NOTHING = "-"
MEANINGS = {
    "before": "before", "8bit": "`8bit`", "jpeg90": "`jpeg90`", "jpeg75": "`jpeg75`", "half": "`half`",
    "blur1": "`blur1`", "transfer": "transfer",
}  # fmt: skip


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def percent(figure: Interval | None) -> str:
    """A share with its interval, in percent: `17 (11-26)`, `-3 (-9 to 2)`."""
    return _interval(figure, lambda share: f"{100 * share:.0f}")


def number(figure: Interval | None, digits: int = 2) -> str:
    """A figure that is not a share, with its interval: `0.31 (0.27-0.35)`."""
    return _interval(figure, lambda value: f"{value:.{digits}f}")


def fine(figure: Interval | None) -> str:
    """A difference, with as many digits as its interval has something to say: `-0.0013 (-0.0021 to -0.0006)`."""
    ends = [abs(end) for end in figure or () if end]
    largest = max(ends, default=0.0)
    return number(figure, 3 if not largest or largest >= 0.1 else min(7, 1 - int(np.floor(np.log10(largest)))))


def _interval(figure: Interval | None, shown: Callable[[float], str]) -> str:
    if figure is None or figure[0] is None:
        return NOTHING
    value, *ends = (None if end is None else shown(end) for end in figure)
    value, *ends = (end and (end.lstrip("-") if not float(end) else end) for end in (value, *ends))
    if None in ends:
        return str(value)
    between = " to " if any(str(end).startswith("-") for end in ends) else "-"
    return f"{value} ({ends[0]}{between}{ends[1]})"


def chance(p: float | None) -> str:
    """A p-value with two digits."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def entry(setting: Figures, attack: str, mode: str) -> Figures | None:
    """One attack counted in one way; the same in both where it was."""
    own = setting["attacks"].get(attack, {})
    found: Figures | None = own.get(mode, own.get(BOTH))
    return found


def benchmarks(figures: Figures) -> str:
    """What the study ran on."""
    rows = []
    for key, own in figures["settings"].items():
        benchmark = figures["benchmarks"][own["benchmark"]]
        counted = f"{own['eligible']} of {own['images']}"
        groups = "" if own["groups"] == own["images"] else f", {own['groups']} patients"
        clean = own["clean_score"]["before"]
        rows.append([
            f"`{own['benchmark']}`", benchmark["words"], f"{counted} {benchmark['image']}s{groups}", f"{own['eps']:g}",
            f"{benchmark['score']} {number(clean)}", benchmark["second"] or NOTHING,
            "yes" if key in figures["main"] else "",
        ])  # fmt: skip
    head = ["benchmark", "attacked", "eligible images", "eps", "score of these before", "transfer to", "main budget"]
    return table(head, rows)


def scan(figures: Figures) -> str:
    """BIM's success on validation images at each radius that was tried."""
    rows = []
    for name, benchmark in figures["benchmarks"].items():
        tried = [one for one in figures["scan"] or () if one["benchmark"] == name]
        if tried:
            shares = [
                f"{one['eps']:g}: {100 * one['success']:.0f}" + (" (chosen)" if one["chosen"] else "") for one in tried
            ]
            rows.append([benchmark["words"], f"{tried[0]['images']}", ", ".join(shares)])
    return table(["benchmark", "eligible validation images", "BIM's success in percent by eps"], rows)


def outcomes(figures: Figures, key: str, mode: str, what: str) -> str:
    """All attacks of a benchmark at a budget: `success` or `score`, before and after what happens to a file."""
    own = figures["settings"][key]
    show = percent if what == "success" else number
    rows = [["no attack", NOTHING, *(show(_clean(own, after, what)) for after in own["outcomes"])]]
    for attack in own["attacks"]:
        if (found := entry(own, attack, mode)) is not None:
            cells = [show(found[what][after]) for after in own["outcomes"]]
            rows.append([f"`{attack}`", f"{found['passes']:.0f}", *cells])
    return table(["attack", "passes", *(MEANINGS[after] for after in own["outcomes"])], rows)


def _clean(own: Figures, after: str, what: str) -> Interval | None:
    return own["alone"].get(after) if what == "success" else own["clean_score"].get(after)


def strengths(figures: Figures, mode: str) -> str:
    """Success before saving of each attack in each benchmark at its main budget."""
    main = {key: figures["settings"][key] for key in figures["main"]}
    attacks = list(dict.fromkeys(attack for own in main.values() for attack in own["attacks"]))
    rows = []
    for attack in sorted(attacks, key=lambda name: (not is_peer(name), name.startswith("steadfast"))):
        found = [entry(own, attack, mode) for own in main.values()]
        if any(found):
            rows.append([f"`{attack}`", *(percent(one and one["success"]["before"]) for one in found)])
    return table(["attack", *(titled(figures, own) for own in main.values())], rows)


def titled(figures: Figures, own: Figures) -> str:
    """A benchmark at its budget, in words."""
    return f"{figures['benchmarks'][own['benchmark']]['words']}, eps {own['eps']:g}"


def meanings(figures: Figures, key: str) -> str:
    """The meanings of stable that one benchmark can tell, per attack, at equal steps."""
    own = figures["settings"][key]
    traced = figures["traced"].get(own["benchmark"], {})
    rows = []
    for attack in own["attacks"]:
        found = entry(own, attack, "steps")
        if found is not None:
            run = traced.get(attack, {}).get("summary", {})
            rows.append([
                f"`{attack}`", number(found["across_images"]["spread"]), number(found["across_seeds"]["spread"], 3),
                number(found["across_seeds"]["change"]), number(run.get("half_time")), number(run.get("cos_step")),
                percent(found["clinic"].get("jpeg90", {}).get("survived_net")),
                percent(found["clinic"]["blur1"]["survived_net"]), percent(found.get("models", {}).get("carried")),
            ])  # fmt: skip
    head = [
        "attack", "1: spread over images", "2: spread over seeds", "2: change over seeds", "4: half time", "4: turning",
        "5: `jpeg90`", "5: `blur1`", "6: carried",
    ]  # fmt: skip
    return table(head, rows)


def modalities(figures: Figures) -> str:
    """Third meaning: every attack that runs in all benchmarks, and its spread minus BIM's."""
    rows = [
        [f"`{attack}`", *(percent(one.get(name)) for name in ("mean", "spread", "extent", "minus_bim"))]
        for attack, one in figures["modalities"].items()
    ]  # fmt: skip
    return table(
        ["attack", "mean of the benchmarks", "3: spread", "largest minus smallest", "spread minus BIM's"], rows
    )


def paired(figures: Figures, rows: Sequence[Figures]) -> str:
    """Two attacks on the same images, one line per benchmark."""
    lines = [
        [
            titled(figures, figures["settings"][row["setting"]]), percent(row["first"]), percent(row["second"]),
            f"{row['only_first']:.3g} / {row['only_second']:.3g}", chance(row["p"]), fine(row["drop"]),
            chance(row["drop_p"]), row["side"],
        ]
        for row in rows
    ]  # fmt: skip
    head = [
        "benchmark",
        "it",
        "the other",
        "only it / only the other",
        "p",
        "difference of the drops",
        "p",
        "the claim",
    ]
    return table(head, lines)


def identities(figures: Figures, rows: Sequence[Figures]) -> str:
    """How far a form of SMIA is BIM."""
    lines = [
        [
            titled(figures, figures["settings"][row["setting"]]),
            *(f"{row[name]} of {row['images']}" for name in ("success", "first_success", "margin")),
            NOTHING if row["largest"] is None else f"{row['largest']:.2g}",
        ]
        for row in rows
    ]
    head = [
        "benchmark",
        "same outcome",
        "same first step of success",
        "same final margin",
        "largest gap of two changes, eps",
    ]
    return table(head, lines)


SPOT = {
    "final_share": "distance to the last predictions, mean over the run, its start 1 (claimed: lower)",
    "smoothed_mean": "KL(f(x_t), f(xs_t)), mean over the run (claimed: lower)",
    "cos_final_half": "cosine of the change at half the steps and the last (claimed: higher)",
    "seeds": "distance of the last changes of three seeds, in eps (claimed: lower)",
}


def differences(figures: Figures, rows: Sequence[Figures]) -> str:
    """What a claim is about in each benchmark: SMIA minus BIM, and which side that speaks for."""
    lines = []
    for row in rows:
        benchmark = row.get("benchmark") or figures["settings"][row["setting"]]["benchmark"]
        what = SPOT.get(row["what"], row["what"])
        lines.append([figures["benchmarks"][benchmark]["words"], what, fine(row["difference"]), row["side"]])
    return table(["benchmark", "what", "SMIA minus BIM", "the claim"], lines)


def ours(figures: Figures, after: Sequence[str]) -> str:
    """The new attack against its rivals at equal passes."""
    lines = [
        [
            titled(figures, figures["settings"][row["setting"]]), f"`{row['against']}`", percent(row["first"]),
            percent(row["second"]), row["apart"], percent(row["difference"]), chance(row["p"]),
            *(number(one) for one in row["scores"]), row["score_apart"],
        ]
        for row in figures["ours"]
        if row["after"] in after
    ]  # fmt: skip
    head = [
        "benchmark", "rival", "`steadfast`", "rival's", "intervals apart", "difference", "p (Holm)", "its mean score",
        "rival's", "intervals apart",
    ]  # fmt: skip
    return table(head, lines)


CLAIMS = (
    ("spot", "word", "1. moves toward a fixed spot"),
    ("escape", "word_steps", "2. escapes local optima (equal steps)"),
    ("escape", "word_passes", "2. the same at equal passes"),
    ("alike", "word", "3. works alike on different modalities"),
    ("variance", "word", "4. perturbations of small variance"),
    ("effective", "word_fgsm", "5. stronger than FGSM"),
    ("effective", "word_pgd", "5. stronger than PGD"),
    ("survive", "word_jpeg90", "not a claim of the paper: stronger than BIM after `jpeg90`"),
    ("survive", "word_blur1", "the same after `blur1`"),
    ("survive", "word_transfer", "the same on the second network"),
)


def verdicts(figures: Figures) -> str:
    """What is said of each claim, for each form of SMIA."""
    rows = [
        [title, *(f"**{found[claim][word]}**{_tally(found, claim, word)}" for found in figures["claims"].values())]
        for claim, word, title in CLAIMS
    ]
    return table(["claim", *(f"`{form}`" for form in figures["claims"])], rows)


def _tally(found: Figures, claim: str, word: str) -> str:
    """How many comparisons speak for the claim, against it, leave it open, or show no difference at all."""
    own = found[claim]
    rows = own.get("rows", () if word == "word" else own[word.removeprefix("word_")])
    sides = [row["side"] for row in rows]
    counts = [f"{sides.count(side)} {side}" for side in ("for", "against", "open", "same") if side in sides]
    return f" ({', '.join(counts)})" if sides else ""


def forms(figures: Figures) -> str:
    """The forms of SMIA that the study has, by their choices."""
    rows = []
    for form in figures["claims"]:
        own = next(found for one in figures["settings"].values() if (found := entry(one, form, "steps")))
        choices = own["parameters"]
        through = "through" if choices.get("through") else "detached"
        rows.append([f"`{form}`", *(f"{choices.get(name, NOTHING)}" for name in ("smooth", "agreement")), through,
                     f"{choices.get('weight', NOTHING)}", f"{own['passes']:.0f}"])  # fmt: skip
    return table(["form", "smoothed", "agreement", "gradient", "weight", "passes at equal steps"], rows)


def ablation(figures: Figures, mode: str = "passes") -> str:
    """Every point of the family on validation images: drop of the score before and after post-processing, and rank."""
    found = figures["ablation"]
    rows = []
    for point in sorted(found["points"], key=lambda one: one["mean_rank"] or 0.0):
        cells = []
        for benchmark in found["benchmarks"]:
            own = point[benchmark][mode]
            after = [own["handled_drop"].get(name) for name in ("8bit", "jpeg90", "blur1")]
            cells.append(" / ".join(NOTHING if one is None else f"{one:.3f}" for one in [own["drop"], *after]))
        ranked = NOTHING if point["mean_rank"] is None else f"{point['mean_rank']:.2f}"
        rows.append([f"`{point['name']}`", ranked, *cells])
    titles = [
        f"{figures['benchmarks'][benchmark]['words']}, eps {found['eps'][benchmark]:g}"
        for benchmark in found["benchmarks"]
    ]
    return table(["attack", "mean rank", *titles], rows)
