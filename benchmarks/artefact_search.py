"""Worst artefact found against worst of k random ones, at equal questions to the model, on real images.

    python -m benchmarks.artefact_search --data DIR            # test images, the table of the page
    python -m benchmarks.artefact_search --data DIR --split val --ladder 80,90,30 --ladder 100,100,0

For each example and each artefact of its modality with two free parameters or more, 200 random draws are compared with
a search of 200 questions whose first draws are the same. Networks are trained on first use and kept in
benchmarks/.cache.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.artefact_subjects import SUBJECTS, Subject
from benchmarks.measure import say
from palpate.artefacts.artefact import Artefact
from palpate.artefacts.catalog import make, of_modality
from palpate.artefacts.parameter import free
from palpate.artefacts.search import Found, Ladder, search
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

QUESTIONS = 200
FEWEST = 2
"""Free parameters of the artefacts that are compared: in one, 200 random draws are a fine grid already."""
SHARES = (80, 90, 30)
"""Draws, questions of CMA-ES, gradient steps."""
NOTHING = Ladder(draws=0, tries=QUESTIONS, evolution=0, polish=0, bisection=0)
"""Random draws alone."""


@dataclass(frozen=True)
class Row:
    """One example with one artefact.

    Attributes:
        example: name of the example.
        artefact: name of the artefact.
        images: number of images that the model reads correctly.
        clean: their mean score.
        drawn: mean score over images and random draws.
        random: mean score at the worst of k.
        found: mean score at the worst found.
        failed: images that fail at the worst of k, and at the worst found.
        worse: images whose margin is smaller at the worst found than at the worst of k.
        equal: images where both margins are the same.
        better: images where the worst of k is worse.
        seconds: of one search per image.
    """

    example: str
    artefact: str
    images: int
    clean: float
    drawn: float
    random: float
    found: float
    failed: tuple[int, int]
    worse: int
    equal: int
    better: int
    seconds: float

    def markdown(self) -> str:
        """A line of the table."""
        cells = [self.example, self.artefact, self.images, f"{self.clean:.3f}", f"{self.drawn:.3f}"]
        cells += [f"{self.random:.3f}", f"{self.found:.3f}", f"{self.failed[0]} / {self.failed[1]}"]
        cells += [f"{self.worse} / {self.equal} / {self.better}", f"{self.seconds:.2f}"]
        return "| " + " | ".join(str(cell) for cell in cells) + " |"


HEAD = (
    "| example | artefact | images | clean | one random draw | worst of 200 | worst found | failed, of 200 / found |"
    " worse / equal / better | s per image |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def right_ones(subject: Subject, victim: Victim, images: Tensor, annotated: Tensor, count: int) -> Tensor:
    """`count` rows that the model reads correctly, evenly spaced."""
    task = subject.task
    with victim:
        outputs = torch.cat([victim.judge(part) for part in torch.split(images, 32)])
    targets = subject.targets(annotated)
    right = (task.eligible(targets) & (task.margin(outputs, targets) > 0)).nonzero().flatten()
    return right[:: max(1, len(right) // count)][:count]


def compared(subject: Subject, victim: Victim, artefact: Artefact, images: Tensor, targets: Tree,
             shares: Sequence[int], severity: float, seed: int) -> Row:  # fmt: skip
    """Both searches on the same images and the same streams."""
    task = subject.task
    tries, evolution, polish = shares
    ladder = replace(NOTHING, tries=tries, evolution=evolution, polish=polish)

    def run(settings: Ladder) -> Found:
        streams = Streams.of(torch.Generator().manual_seed(seed), len(images))
        with victim:
            return search(artefact, victim, task, images, targets, [subject.scene] * len(images),
                          streams=streams, ladder=replace(settings, severity=severity),
                          read=lambda outputs, truth: task.score(outputs, truth).tolist())  # fmt: skip

    random = run(NOTHING)
    begin = time.perf_counter()
    found = run(ladder)
    seconds = (time.perf_counter() - begin) / len(images)
    scores = [task.score(one.worst.outputs, one.worst.targets).double().mean() for one in (random, found)]
    clean = task.score(found.clean_outputs, targets).double().mean()
    drawn = [value for row in random.draws.readings for value in row if value is not None]
    apart = found.worst.margin - random.worst.margin
    return Row(
        subject.name, artefact.name, len(images), float(clean), sum(drawn) / len(drawn), float(scores[0]),
        float(scores[1]), tuple(int((one.worst.margin <= 0).sum()) for one in (random, found)),
        int((apart < 0).sum()), int((apart == 0).sum()), int((apart > 0).sum()), seconds,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real images")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--images", type=int, default=8, help="of each example")
    parser.add_argument("--example", action="append", help="by name; all by default")
    parser.add_argument(
        "--artefact", action="append", help="by name; those of the modality with two free parameters by default"
    )
    parser.add_argument("--ladder", action="append", help="draws,evolution,gradient; they add up to 200")
    parser.add_argument("--severity", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    ladders = [tuple(int(part) for part in text.split(",")) for text in options.ladder or ()] or [SHARES]
    for shares in ladders:
        if sum(shares) != QUESTIONS:
            raise SystemExit(f"--ladder {shares}: the parts add up to {sum(shares)}, not to {QUESTIONS}.")
    say(HEAD)
    for subject in SUBJECTS:
        if options.example and subject.name not in options.example:
            continue
        images, annotated = subject.read(options.data / subject.folder, options.split)
        victim, images = subject.victim(options.data), subject.stored(images)
        rows = right_ones(subject, victim, images, annotated, options.images)
        names = options.artefact or [entry.name for entry in of_modality(subject.modality)]
        for artefact in map(make, names):
            if options.artefact or free(artefact.parameters) >= FEWEST:
                for shares in ladders:
                    row = compared(subject, victim, artefact, images[rows], subject.targets(annotated[rows]), shares,
                                   options.severity, options.seed)  # fmt: skip
                    say((f"{shares} " if len(ladders) > 1 else "") + row.markdown())


if __name__ == "__main__":
    main()
