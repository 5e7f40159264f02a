"""Plant wrong edits, one at a time, and show which contract kills each: `make mutants`.

Every mutant is a mistake that a library of this field has made, or that is easy to make here. The job copies the
package, applies the edit to the copy, and runs the tests that ought to notice. A survivor fails the job.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = "tests/contracts"


@dataclass(frozen=True)
class Mutant:
    """A wrong edit: in `file`, `right` becomes `wrong`; `tests` ought to notice."""

    mistake: str
    file: str
    right: str
    wrong: str
    tests: str = CONTRACTS


MUTANTS = (
    Mutant("the box is forgotten", "threats/neighbourhoods.py", ".clamp_(max=high)", ""),
    Mutant("the ball is forgotten", "threats/neighbourhoods.py", "images, self._least, self._most", "images, self.low, self.high"),
    Mutant("one radius for the whole batch", "threats/neighbourhoods.py", "wide = spread(radius, clean)", "wide = radius.max()"),
    Mutant("the L2 projection stops too early", "threats/neighbourhoods.py", "multiplier, delta))\n\n    def _enough(self, delta: Tensor) -> Tensor:\n        return lengths(delta, \"l2\")", "multiplier, delta) * 2)\n\n    def _enough(self, delta: Tensor) -> Tensor:\n        return lengths(delta, \"l2\")"),
    Mutant("the raw gradient is followed in L-inf", "threats/neighbourhoods.py", "return gradient.sign()", "return gradient"),
    Mutant("the last iterate is not scored", "attacks/ascent.py", "        self._score_last()\n", ""),
    Mutant("the last iterate wins, not the best", "attacks/ledger.py", "better = (margin < self.best_margin[rows]) & ~settled", "better = ~settled"),
    Mutant("the bound on success is strict the wrong way", "attacks/ledger.py", "success = self.eligible & (self.best_margin <= 0)", "success = self.eligible & (self.best_margin <= 0.5)"),
    Mutant("clean errors count as successes", "attacks/ledger.py", "task.eligible(targets) & (self.clean_margin > 0)", "task.eligible(targets)"),
    Mutant("the result shares memory with the images", "attacks/ledger.py", "self.best = self.images.clone()", "self.best = self.images"),
    Mutant("verdicts come from the tuned copy", "attacks/ledger.py", "        outputs = self._judge(self.best[rows])", "        outputs = self.victim.score(self.best[rows])"),
    Mutant("judging is not counted", "attacks/ledger.py", "        self.forwards[rows] += 1\n", ""),
    Mutant("the backward pass is not counted", "attacks/ascent.py", "self._book(before, 1)", "self._book(before, 0)"),
    Mutant("no fall-back from a zero gradient", "attacks/ascent.py", "if first and bool(zero.any()):", "if False:"),
    Mutant("a blocked gradient is not reported", "attacks/ascent.py", "self.ledger.blocked_gradient[self.rows] |= zero & self.on_margin", "pass"),
    Mutant("global random numbers", "streams.py", "torch.rand(tuple(shape), generator=g, dtype=like.dtype)", "torch.rand(tuple(shape), dtype=like.dtype)"),
    Mutant("random numbers depend on the place in the batch", "streams.py", "[self._generators[i] for i in positions]", "self._generators[: len(positions)]"),
    Mutant("the model stays in train mode", "victim.py", "            self.module.eval()\n", ""),
    Mutant("parameters stay frozen", "victim.py", "parameter.requires_grad_(wanted)", "pass"),
    Mutant("modes are not restored", "victim.py", "part.training = training", "pass"),
    Mutant("the global random state is not restored", "victim.py", "        torch.set_rng_state(self._random)\n", ""),
    Mutant("momentum is normalised over the batch", "attacks/directions.py", "length = gradient.flatten(1).abs().sum(1)", "length = gradient.abs().sum().expand(len(gradient))"),
    Mutant("momentum stays behind when samples leave", "attacks/ascent.py", "take(self.bend_states, going)", "self.bend_states"),
    Mutant("bfloat16 outputs are the verdict of the start", "attacks/ledger.py", "self._unjudged[rows] = torch.where(better, not judged, self._unjudged[rows])", "pass"),
    Mutant("the margin's sign is turned for targets", "tasks/classification.py", "return stay - scores.masked_fill(~wanted, -torch.inf).amax(1)", "other = scores.masked_fill(~wanted, -torch.inf).amax(1)\n        return other - stay if self.goal.targeted else stay - other"),
    Mutant("DLR without a guard for few classes", "tasks/classification.py", "self.classes < needed", "False"),
    Mutant("the targeted loss runs away from its goal", "tasks/classification.py", "return log_p.masked_fill(~wanted, -torch.inf).logsumexp(1)", "return -log_p.masked_fill(~wanted, -torch.inf).logsumexp(1)"),
    Mutant("the operating point is ignored", "tasks/heads.py", "z - math.log(self.threshold / (1 - self.threshold))", "z"),
    Mutant("stabilisation with the wrong sign", "attacks/objectives.py", "return deviation - self.weight", "return deviation + self.weight", "tests/attacks"),
    Mutant("the Gaussian has a gain", "attacks/smoothing.py", "(weights / weights.sum())", "weights", "tests/attacks"),
    Mutant("gradients leak through a detached branch", "attacks/objectives.py", "point.look(smoothed) if self.through else point.glance(smoothed.detach())", "point.look(smoothed)", "tests/attacks"),
    Mutant("APGD never halves its step", "attacks/steps.py", "size=torch.where(stalled, state.size / 2, state.size)", "size=state.size", "tests/attacks"),
    Mutant("a curve attacks the beaten again", "attacks/curve.py", "rows = (before.eligible & ~before.success)", "rows = (before.eligible)", "tests/attacks"),
)  # fmt: skip


def killers(mutant: Mutant) -> list[str]:
    """The tests that notice the mutant, run on a copy of the package."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "palpate"
        shutil.copytree(ROOT / "src" / "palpate", copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / mutant.file
        source = file.read_text()
        if source.count(mutant.right) != 1:
            raise SystemExit(
                f"'{mutant.mistake}': its place in {mutant.file} was found {source.count(mutant.right)} times"
            )
        file.write_text(source.replace(mutant.right, mutant.wrong))
        command = [
            sys.executable,
            "-m",
            "pytest",
            mutant.tests,
            "-p",
            "no:cacheprovider",
            "--tb=no",
            "-rfE",
            "-o",
            "addopts=",
        ]
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    found = re.findall(r"^(?:FAILED|ERROR) \S*::(\S+)", done.stdout, flags=re.MULTILINE)
    if done.returncode not in (0, 1) and not found:
        raise SystemExit(f"'{mutant.mistake}': the tests could not run\n{done.stdout}{done.stderr}")
    return found


def contract(test: str) -> str:
    """`test_attack_keeps_contract[pgd-budget_and_box]` -> `budget_and_box`."""
    inside = re.search(r"\[(.*)\]", test)
    return inside[1].rsplit("-", 1)[-1] if inside and "contract" in test or inside and "law" in test else test


def main() -> int:
    """Run every mutant, print who killed it, and fail where one lives."""
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for mutant, found in zip(MUTANTS, pool.map(killers, MUTANTS), strict=True):
            names = list(dict.fromkeys(contract(test) for test in found))
            survivors += not names
            print(f"{'killed' if names else 'ALIVE '}  {mutant.mistake:<52} {', '.join(names[:4])}", flush=True)
    print(f"{len(MUTANTS) - survivors} passed, {survivors} failed")
    print(f"{len(MUTANTS)} mutants, {len(MUTANTS) - survivors} killed, {survivors} alive.")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
