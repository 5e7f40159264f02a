"""How often 95% intervals of shares and means hold the truth, and how often equal attacks are called different.

    python -m benchmarks.coverage

It writes `docs/explanation/coverage.md`. Hits of patients are beta-binomial, attacks are equal, the seed is fixed. It
takes about a minute on one core.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy import stats

from palpate.metrics.intervals import effective_total, score_interval, tail
from palpate.metrics.pairs import sign_flip
from palpate.metrics.panel import Bools, Floats, Ints

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "coverage.md"
PATIENTS = (6, 8, 10, 15, 20, 30, 50, 100)
IMAGES = ("1", "2", "5", "10", "20", "1 to 20")
MIXED = (1, 2, 5, 10, 20)
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
CORRELATIONS = (0.0, 0.1, 0.3, 0.6)
LEAST = 10
"""The goal is for designs with at least so many patients."""
GOAL = (0.93, 0.97)
SAMPLES = 4000
RESAMPLED = 500
"""Samples per design for methods that resample, 1000 resamples each."""
TESTS = 1000
CHOSEN = "Wilson, effective sample size, one more patient"
Ends = tuple[Floats, Floats]


@dataclass(frozen=True)
class Design:
    """Patients, their images, the true rate and the correlation of images of a patient."""

    patients: int
    images: str
    rate: float
    correlation: float

    @property
    def sizes(self) -> Ints:
        """(K,) images of each patient."""
        return np.resize(MIXED if self.images == IMAGES[-1] else [int(self.images)], self.patients)

    def rates(self, rng: np.random.Generator, samples: int) -> Floats:
        """(samples, K) the rate of each patient, from a beta distribution."""
        if not self.correlation:
            return np.full((samples, self.patients), self.rate)
        scale = (1 - self.correlation) / self.correlation
        return rng.beta(self.rate * scale, (1 - self.rate) * scale, size=(samples, self.patients))

    def hits(self, rng: np.random.Generator, samples: int) -> Ints:
        """(samples, K) images with a hit."""
        return rng.binomial(self.sizes, self.rates(rng, samples))


def designs() -> Iterator[Design]:
    """The grid; single images have no correlation."""
    for design in map(Design, *zip(*product(PATIENTS, IMAGES, RATES, CORRELATIONS), strict=True)):
        if design.images != "1" or not design.correlation:
            yield design


def variance(hits: Floats, sizes: Ints) -> Floats:
    """(S,) the squared standard error of the share, from the differences between patients."""
    groups, total = hits.shape[-1], sizes.sum()
    share = hits.sum(-1, keepdims=True) / total
    return np.asarray(((hits - share * sizes) ** 2).sum(-1) * groups / (groups - 1) / total**2)


def by_formula(hits: Ints, sizes: Ints) -> dict[str, Ends]:
    """Ends of the intervals that need no resamples."""
    total, groups = int(sizes.sum()), hits.shape[-1]
    share, apart = hits.sum(-1) / total, variance(hits, sizes)
    with np.errstate(invalid="ignore", divide="ignore"):
        plain = np.nan_to_num(share * (1 - share) / apart, nan=groups, posinf=total)
    worth = np.clip(plain, total**2 / (sizes**2).sum(), total)
    t = stats.t.ppf(0.975, groups - 1)
    return {
        CHOSEN: score_interval(share, effective_total(hits, np.broadcast_to(sizes, hits.shape))),
        "Wilson, effective sample size": score_interval(share, worth),
        "Wilson, effective sample size, t": score_interval(share, worth * (stats.norm.ppf(0.975) / t) ** 2),
        "t over patients": (share - t * np.sqrt(apart), share + t * np.sqrt(apart)),
    }


def by_resamples(hits: Floats, sizes: Ints, rng: np.random.Generator) -> dict[str, Ends]:
    """Ends of the percentile interval as it was (patients counted at 0 and 1), and of BCa."""
    groups = hits.shape[-1]
    draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=1000).astype(float)
    drawn = np.sort((draws @ hits.T) / (draws @ sizes)[:, None], axis=0)
    share = hits.sum(-1) / sizes.sum()
    whole, flat = score_interval(share, np.full(share.shape, float(groups))), (share == 0) | (share == 1)
    shift = stats.norm.ppf(np.clip((drawn < share).mean(0) + (drawn == share).mean(0) / 2, 1e-4, 1 - 1e-4))
    left = (hits.sum(-1, keepdims=True) - hits) / (sizes.sum() - sizes)
    gap = left.mean(-1, keepdims=True) - left
    with np.errstate(invalid="ignore", divide="ignore"):
        pull = np.nan_to_num((gap**3).sum(-1) / (6 * (gap**2).sum(-1) ** 1.5))
    ends: dict[str, list[Floats]] = {"percentile bootstrap (before)": [], "BCa": []}
    for end, chance in enumerate((0.025, 0.975)):
        moved = shift + stats.norm.ppf(chance)
        corrected = stats.norm.cdf(shift + moved / (1 - pull * moved))
        for name, level in (("percentile bootstrap (before)", np.full(share.shape, chance)), ("BCa", corrected)):
            place = np.clip((level * len(drawn)).astype(int), 0, len(drawn) - 1)
            ends[name].append(np.where(flat, whole[end], drawn[place, np.arange(share.size)]))
    return {name: (low, high) for name, (low, high) in ends.items()}


def holds(ends: Ends, truth: float) -> tuple[float, float]:
    """Coverage and mean width."""
    low, high = ends
    inside: Bools = (low <= truth + 1e-12) & (high >= truth - 1e-12)
    return float(inside.mean()), float((np.minimum(high, 1) - np.maximum(low, 0)).mean())


Covered = dict[str, dict[Design, tuple[float, float]]]


def shares(rng: np.random.Generator) -> Covered:
    """Coverage and mean width of each method in each design."""
    found: Covered = {}
    for design in designs():
        hits = design.hits(rng, SAMPLES)
        methods = by_formula(hits, design.sizes)
        methods |= by_resamples(hits[:RESAMPLED].astype(float), design.sizes, rng)
        for name, ends in methods.items():
            found.setdefault(name, {})[design] = holds(ends, design.rate)
    return found


def means(rng: np.random.Generator) -> dict[str, dict[tuple[int, str], float]]:
    """Coverage for means of a score from 0 to 1, for patients and shapes of its distribution."""
    shapes = {"0.5, flat": (0.5, 2.0, 0.1), "0.85, one peak": (0.85, 12.0, 0.1), "0.9, long tail": (0.9, 3.0, 0.6)}
    found: dict[str, dict[tuple[int, str], float]] = {}
    for groups, (shape, (mean, peak, correlation)) in product(PATIENTS, shapes.items()):
        rates = np.clip(Design(groups, "5", mean, correlation).rates(rng, 2 * RESAMPLED), 1e-3, 1 - 1e-3)
        scores = rng.beta(rates[..., None] * peak, (1 - rates[..., None]) * peak, size=(*rates.shape, 5)).sum(-1)
        sizes = np.full(groups, 5)
        draws = rng.multinomial(groups, np.full(groups, 1 / groups), size=1000) / (5 * groups)
        levels = [0.025, 0.975, tail(groups), 1 - tail(groups)]
        low, high, least, most = np.quantile(draws @ scores.T, levels, axis=0)
        half = stats.t.ppf(0.975, groups - 1) * np.sqrt(variance(scores, sizes))
        middle = scores.mean(-1) / 5
        for name, ends in (
            ("percentile (before)", (low, high)),
            ("expanded percentile", (least, most)),
            ("t over patients", (middle - half, middle + half)),
        ):
            found.setdefault(name, {})[groups, shape] = holds(ends, mean)[0]
    return found


def wrong(design: Design, rng: np.random.Generator) -> tuple[float, float]:
    """How often McNemar's test over images, and sign flips by patient, find p < 0.05 between two equal attacks."""
    sizes, rates = design.sizes, (design.rates(rng, TESTS), design.rates(rng, TESTS))
    one, two = (rng.random((TESTS, sizes.sum())) < np.repeat(rate, sizes, axis=1) for rate in rates)
    first, second = (one & ~two).sum(1), (two & ~one).sum(1)
    mcnemar = np.minimum(2 * stats.binom.cdf(np.minimum(first, second), first + second, 0.5), 1)
    group = np.repeat(np.arange(design.patients), sizes)
    gap = one.astype(float) - two
    flips = np.array([sign_flip(row, group) for row in gap])
    return float((mcnemar < 0.05).mean()), float((flips < 0.05).mean())


def errors(rng: np.random.Generator) -> dict[Design, tuple[float, float]]:
    """Type I error of both tests."""
    grid = [Design(*cell) for cell in product((6, 10, 20, 50), ("1", "8", "20", "1 to 20"), (0.1, 0.5), CORRELATIONS)]
    return {one: wrong(one, rng) for one in grid if one.images != "1" or not one.correlation}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spanned(values: Iterable[float]) -> str:
    """The least and the greatest of some shares, in percent."""
    found = list(values)
    least, most = (f"{100 * end:.1f}" for end in (min(found), max(found)))
    return least if least == most else f"{least} to {most}"


def compared(found: Covered) -> str:
    """Each method over all designs with enough patients."""
    rows = []
    for name, cells in sorted(
        found.items(), key=lambda one: -min(v for d, (v, _) in one[1].items() if d.patients >= LEAST)
    ):
        held = [value for design, value in cells.items() if design.patients >= LEAST]
        cover = np.array([value for value, _ in held])
        low, high = int((cover < GOAL[0]).sum()), int((cover > GOAL[1]).sum())
        width = f"{np.mean([width for _, width in held]):.3f}"
        rows.append([name, spanned(cover), str(low), str(cover.size - low - high), str(high), width])
    return table(["method", "coverage, %", "below 93 %", "93 to 97 %", "above 97 %", "mean width"], rows)


def crossed(cells: dict[Design, tuple[float, float]], one: str, two: str, least: int) -> str:
    """Least and greatest coverage over the designs of each pair of values of two fields."""
    kept = {design: value for design, (value, _) in cells.items() if design.patients >= least}
    across = list(dict.fromkeys(getattr(design, two) for design in kept))
    rows = []
    for row in dict.fromkeys(getattr(design, one) for design in kept):
        mine = [{d: v for d, v in kept.items() if (getattr(d, one), getattr(d, two)) == (row, col)} for col in across]
        rows.append([str(row), *(spanned(cell.values()) if cell else "-" for cell in mine)])
    return table([f"{one} \\ {two}", *map(str, across)], rows)


def missed(cells: dict[Design, tuple[float, float]]) -> str:
    """The designs with enough patients whose coverage is below the goal."""
    low = {design: value for design, (value, _) in cells.items() if value < GOAL[0]}
    rows = [
        [str(d.patients), d.images, f"{d.rate:g}", f"{d.correlation:g}", f"{100 * value:.1f}"]
        for d, value in sorted(low.items(), key=lambda one: one[1])
    ]
    return table(["patients", "images each", "rate", "correlation", "coverage, %"], rows) if rows else "None."


def tested(found: dict[Design, tuple[float, float]]) -> str:
    """Type I errors: the range over rates, for each design of patients and images."""
    rows = []
    for images, correlation in dict.fromkeys((one.images, one.correlation) for one in found):
        mine = [pair for one, pair in found.items() if (one.images, one.correlation) == (images, correlation)]
        rows.append([images, f"{correlation:g}", *(spanned(pair[test] for pair in mine) for test in (0, 1))])
    return table(["images each", "correlation", "McNemar over images, %", "sign flips by patient, %"], rows)


def averaged(found: dict[str, dict[tuple[int, str], float]]) -> str:
    """Coverage of means."""
    shapes = list(dict.fromkeys(shape for _, shape in next(iter(found.values()))))
    rows = [
        [
            str(groups),
            *(" / ".join(f"{100 * cells[groups, shape]:.1f}" for cells in found.values()) for shape in shapes),
        ]
        for groups in PATIENTS
    ]
    return table(["patients", *shapes], rows)


def page(
    found: Covered, tests: dict[Design, tuple[float, float]], scores: dict[str, dict[tuple[int, str], float]]
) -> str:
    """The page of the documentation."""
    cells = found[CHOSEN]
    enough = {design: value for design, value in cells.items() if design.patients >= LEAST}
    cover = np.array([value for value, _ in enough.values()])
    few = {design: value for design, value in cells.items() if design.patients < LEAST}
    flips, plain = [pair[1] for pair in tests.values()], [pair[0] for pair in tests.values()]
    return TEXT.format(
        least=f"{100 * cover.min():.1f}", most=f"{100 * cover.max():.1f}", count=cover.size,
        low=int((cover < GOAL[0]).sum()), high=int((cover > GOAL[1]).sum()),
        inside=int(((cover >= GOAL[0]) & (cover <= GOAL[1])).sum()),
        single=sum(value < GOAL[0] and one.images == "1" for one, (value, _) in enough.items()),
        equal=f"{100 * min(v for d, (v, _) in enough.items() if d.images not in ('1', IMAGES[-1])):.1f}",
        few=spanned(value for value, _ in few.values()), compared=compared(found),
        by_size=crossed(cells, "patients", "images", 0), by_rate=crossed(cells, "rate", "correlation", LEAST),
        missed=missed(enough), tested=tested(tests), flips=f"{100 * max(flips):.1f}", plain=f"{100 * max(plain):.1f}",
        averaged=averaged(scores), samples=SAMPLES, resampled=RESAMPLED, tests=TESTS,
    )  # fmt: skip


TEXT = (Path(__file__).parent / "coverage_page.md").read_text(encoding="utf-8")


def main() -> None:
    """Write the page."""
    found = shares(np.random.default_rng(0))
    scores, tests = means(np.random.default_rng(1)), errors(np.random.default_rng(2))
    PAGE.write_text(page(found, tests, scores), encoding="utf-8")
    sys.stdout.write(f"{PAGE} is written.\n")


if __name__ == "__main__":
    main()
