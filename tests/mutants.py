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
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = "tests/contracts/test_attacks.py tests/contracts/test_tasks.py tests/contracts/test_threats.py"
"""The contracts on classes notice every mistake of the loop; those on masks and boxes would take thrice the time.

Square spends as much as all others together and shares no loop with them, so it is left out.
"""


@dataclass(frozen=True)
class Mutant:
    """A wrong edit: in `file`, `right` becomes `wrong`; `tests` ought to notice.

    `file` is in the package, or in the repository where it begins with `benchmarks/`.
    """

    mistake: str
    file: str
    right: str
    wrong: str
    tests: str = CONTRACTS

    @property
    def outside(self) -> bool:
        """Whether the file is one of the benchmarks, which import the package."""
        return self.file.startswith("benchmarks/")

    @property
    def path(self) -> Path:
        """The file, from the folder that the package lies in."""
        return Path(self.file) if self.outside else Path("palpate", self.file)


def mutants() -> list[Mutant]:
    """The list in `mutants.toml`."""
    listed = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text())["mutant"]
    return [Mutant(**entry) for entry in listed]


def places(mutant: Mutant) -> int:
    """How often what a mutant edits stands in its file; it must be once."""
    return ((ROOT if mutant.outside else ROOT / "src") / mutant.path).read_text().count(mutant.right)


def killers(mutant: Mutant) -> list[str]:
    """The tests that notice the mutant, run on a copy of the package."""
    with tempfile.TemporaryDirectory() as folder:
        # The tests find the benchmarks beside themselves, so both are copied.
        for part in ("src/palpate", *(("benchmarks", "tests") if mutant.outside else ())):
            ignored = shutil.ignore_patterns("__pycache__", ".cache")
            shutil.copytree(ROOT / part, Path(folder, Path(part).name), ignore=ignored)
        file = Path(folder) / mutant.path
        source = file.read_text()
        if (found := places(mutant)) != 1:
            raise SystemExit(f"'{mutant.mistake}': its place in {mutant.file} was found {found} times")
        file.write_text(source.replace(mutant.right, mutant.wrong))
        # Of the contracts three that notice are named; elsewhere the first is enough.
        few = ["-k", "not on_a_task and not scenario and not square", "--maxfail=3"]
        depth = few if mutant.tests == CONTRACTS else ["-x"]
        command = [
            sys.executable,
            "-m",
            "pytest",
            *mutant.tests.split(),
            "-p",
            "no:cacheprovider",
            "--tb=no",
            "-rfE",
            *depth,
        ]
        command += ["-o", "addopts="]
        cwd = folder if mutant.outside else ROOT
        environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    found = re.findall(r"^(?:FAILED|ERROR) \S*::(\S+)", done.stdout, flags=re.MULTILINE)
    if done.returncode not in (0, 1) and not found:
        raise SystemExit(f"'{mutant.mistake}': the tests could not run\n{done.stdout}{done.stderr}")
    return found


def contract(test: str) -> str:
    """`test_attack_keeps_contract[pgd-budget_and_box]` -> `budget_and_box`; other tests keep their name."""
    crossed = re.match(r"test_\w+_keeps_(?:contract|law)\[(.*)\]", test)
    return crossed[1].rsplit("-", 1)[-1] if crossed else test


def main() -> int:
    """Run every mutant, say who killed it, and fail where one lives."""
    planted, survivors = mutants(), 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for mutant, found in zip(planted, pool.map(killers, planted), strict=True):
            names = list(dict.fromkeys(contract(test) for test in found))
            survivors += not names
            say(f"{'killed' if names else 'ALIVE '}  {mutant.mistake:<52} {', '.join(names[:4])}")
    say(f"{len(planted)} mutants: {len(planted) - survivors} killed, {survivors} alive.")
    return 1 if survivors else 0


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
