"""Plant wrong edits, one at a time, and show which contract kills each: `make mutants`.

Every mutant is a mistake that a library of this field has made, or that is easy to make here. The job copies the
package, applies the edit to the copy, and runs the tests that ought to notice. A survivor fails the job.

The heavy imports are paid once: the tests of each mutant run in a fork of a process that has torch and pytest loaded.
"""

from __future__ import annotations

import argparse
import compileall
import gc
import os
import re
import shutil
import sys
import tempfile
import threading
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import cache_from_source
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
WARM = (
    "hypothesis",
    "jinja2",
    "matplotlib",
    "monai.networks.nets",
    "nibabel",
    "numpy",
    "PIL.Image",
    "pyarrow.compute",
    "pyarrow.parquet",
    "pydantic",
    "pydicom",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.stats",
    "sklearn.metrics",
    "tifffile",
    "torch",
    "typer.testing",
)
"""What the tests import and what takes long, loaded before the first fork."""
LOG = "log.txt"
BROKEN = 70
"""The exit status of a child whose tests could not run, or ran on another copy of the package."""


@dataclass(frozen=True)
class Mutant:
    """A wrong edit: in `file`, `right` becomes `wrong`; `tests` ought to notice.

    `file` is in the package, or in the repository where it begins with `benchmarks/`.
    """

    mistake: str
    file: str
    right: str
    wrong: str
    tests: str

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


def make_template(folder: Path) -> None:
    """Copy what can be edited, once, with the package compiled: most of it is unchanged in every mutant."""
    for part in ("src/palpate", "benchmarks", "tests"):
        shutil.copytree(ROOT / part, folder / Path(part).name, ignore=shutil.ignore_patterns("__pycache__", ".cache"))
    compileall.compile_dir(folder / "palpate", quiet=2)


def plant(mutant: Mutant, template: Path, folder: Path) -> None:
    """Link the package, with the edit in a file of its own. Tests find the benchmarks next to themselves."""
    if (found := places(mutant)) != 1:
        raise SystemExit(f"'{mutant.mistake}': its place in {mutant.file} was found {found} times")
    file = folder / mutant.path
    compiled = Path(cache_from_source(str(file)))
    folder.mkdir()
    if mutant.outside:
        for part in ("palpate", "benchmarks", "tests"):
            shutil.copytree(template / part, folder / part, copy_function=os.link)
    else:
        link(template / "palpate", folder / "palpate", (file, compiled))
    edited = (template / mutant.path).read_text().replace(mutant.right, mutant.wrong)
    file.unlink(missing_ok=True)  # or the edit would be in the template too
    compiled.unlink(missing_ok=True)
    file.write_text(edited)


def link(source: Path, target: Path, left_out: tuple[Path, ...]) -> None:
    """Link a folder's entries, without some files: only the folders on the way to these are made."""
    target.mkdir()
    for entry in source.iterdir():
        here = target / entry.name
        if any(file.is_relative_to(here) for file in left_out):
            if here not in left_out:
                link(entry, here, left_out)
        elif entry.name == "__pycache__":
            # Python writes into it, and the template's must stay as it is.
            shutil.copytree(entry, here, copy_function=os.link)
        else:
            here.symlink_to(entry)


def warm_up() -> None:
    """Import what every child needs, except the package: it has to come from the child's own copy."""
    for name in WARM:
        import_module(name)
    sys.modules["torch"].set_num_threads(1)
    if threading.active_count() > 1 or "palpate" in sys.modules:
        raise SystemExit("a process that is forked must have one thread and must not have imported the package")
    gc.freeze()


def start(mutant: Mutant, folder: Path) -> int:
    """Run the mutant's tests in a child, which writes to `folder / LOG`; the child's process id."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    status = BROKEN
    try:
        log = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = run_tests(mutant, folder)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def run_tests(mutant: Mutant, folder: Path) -> int:
    """Run pytest on the copy in `folder`, in this process."""
    os.environ["PYTHONPATH"] = str(folder)
    os.chdir(folder if mutant.outside else ROOT)
    sys.path[:] = [str(folder), *(entry for entry in sys.path if entry not in ("", str(ROOT), str(ROOT / "src")))]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    # Nobody reads why an assertion failed, so it need not be rewritten to say it.
    options = ["-x", "-p", "no:cacheprovider", "--assert=plain", "--tb=no", "-rfE", "-o", "addopts="]
    status = pytest.main([*mutant.tests.split(), *options])
    tested = import_module("palpate").__file__ or ""
    return int(status) if Path(tested).is_relative_to(folder) else BROKEN


def killers(mutant: Mutant, folder: Path, status: int) -> list[str]:
    """The tests that noticed the mutant, from the log of a child that ended with `status`."""
    log = (folder / LOG).read_text()
    found = re.findall(r"^(?:FAILED|ERROR) \S*::(\S+)", log, flags=re.MULTILINE)
    if status == BROKEN or (status not in (0, 1) and not found):
        raise SystemExit(f"'{mutant.mistake}': the tests could not run\n{log}")
    return found


def run_all(planted: list[Mutant], at_once: int) -> Iterator[tuple[Mutant, list[str], float]]:
    """Each mutant, the tests that noticed it, and CPU seconds, as they end; `at_once` children at the same time."""
    waiting, running = list(reversed(planted)), dict[int, tuple[Mutant, Path]]()
    with tempfile.TemporaryDirectory() as top:
        template = Path(top, "template")
        make_template(template)
        warm_up()
        while waiting or running:
            while waiting and len(running) < at_once:
                mutant, folder = waiting.pop(), Path(top, str(len(waiting)))
                plant(mutant, template, folder)
                running[start(mutant, folder)] = mutant, folder
            child, ended, used = os.wait4(-1, 0)
            mutant, folder = running.pop(child)
            found = killers(mutant, folder, os.waitstatus_to_exitcode(ended))
            yield mutant, found, used.ru_utime + used.ru_stime
            shutil.rmtree(folder)


def contract(test: str) -> str:
    """`test_attack_keeps_contract[pgd-budget_and_box]` -> `budget_and_box`; other tests keep their name."""
    crossed = re.match(r"test_\w+_keeps_(?:contract|law)\[(.*)\]", test)
    return crossed[1].rsplit("-", 1)[-1] if crossed else test


def chosen(names: Sequence[str]) -> list[Mutant]:
    """The mutants whose mistake contains one of these texts, or all without a text.

    Raises:
        SystemExit: a text is in no mistake.
    """
    listed = mutants()
    for name in names:
        if not any(name.lower() in mutant.mistake.lower() for mutant in listed):
            raise SystemExit(f"'{name}' is in the name of no mutant of tests/mutants.toml.")
    return [one for one in listed if not names or any(name.lower() in one.mistake.lower() for name in names)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run mutants, say who killed each, and fail where one lives."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("names", nargs="*", help="parts of the names of mutants; without any, all mutants run")
    parser.add_argument("--at-once", type=int, default=os.cpu_count() or 1, help="mutants that run at the same time")
    options = parser.parse_args(arguments)
    planted, survivors = chosen(options.names), 0
    for mutant, found, seconds in run_all(planted, options.at_once):
        names = list(dict.fromkeys(contract(test) for test in found))
        survivors += not names
        say(f"{'killed' if names else 'ALIVE '} {seconds:5.1f} s  {mutant.mistake:<52} {', '.join(names[:4])}")
    say(f"{len(planted)} mutants: {len(planted) - survivors} killed, {survivors} alive.")
    return 1 if survivors else 0


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    # Before the first import that reads them: a thread that runs would not survive a fork.
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    raise SystemExit(main())
