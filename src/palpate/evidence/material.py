"""What an evidence folder is made from: a run, the people behind the test, and what a training achieved."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from palpate.errors import InputError, StorageError
from palpate.report.compute.results import measure
from palpate.report.model.description import Description, failed_attacks, read_description
from palpate.report.model.schema import Results
from palpate.report.model.schema_compare import ComparedRun, Comparison, Pair, SwitchedImage
from palpate.storage.runs import RunFolder


@dataclass(frozen=True)
class People:
    """What only a person knows; an empty text becomes a blank to fill in.

    Attributes:
        tester: who carried out the test.
        organisation: where they work.
        independence: how independent they are of those who made the model.
        product: name of the device or software.
        version: its version.
        purpose: intended use.
    """

    tester: str = ""
    organisation: str = ""
    independence: str = ""
    product: str = ""
    version: str = ""
    purpose: str = ""

    @classmethod
    def of(cls, run: RunFolder, given: dict[str, str]) -> People:
        """From the table `[evidence]` of the run's plan; what is `given` replaces it."""
        names = [one.name for one in fields(cls)]
        planned = _planned(run)
        return cls(**{name: given.get(name) or str(planned.get(name, "")) for name in names})


@dataclass(frozen=True)
class Material:
    """What an evidence folder is made from.

    Attributes:
        run: the run folder.
        results: its figures.
        description: its `run.json`.
        people: who tested what.
        comparison: with another run, such as that before a training; None without.
        names: whether file names of images, and groups (patients), are shown.
    """

    run: RunFolder
    results: Results
    description: Description
    people: People
    comparison: Comparison | None = None
    names: bool = False

    @property
    def finished(self) -> bool:
        """Whether the audit is finished."""
        return self.results.status == "finished"

    @property
    def failed(self) -> list[str]:
        """Attacks that could not run."""
        return sorted(failed_attacks(self.description))

    @property
    def pairs(self) -> list[Pair]:
        """The compared pairs of runs."""
        return [] if self.comparison is None else self.comparison.pairs


def gather(run: RunFolder, people: People, *, comparison: Path | None = None, names: bool = False) -> Material:
    """Read a run and, if there is one, a comparison that it is part of.

    Args:
        run: the run folder.
        people: who tested what.
        comparison: the folder or `compare.json` that `palpate compare` or `palpate harden` wrote.
        names: show file names of images, and groups.

    Raises:
        StorageError: the run or the comparison cannot be read.
        InputError: the comparison is one of other runs.
    """
    description, results = read_description(run), measure(run)
    found = None if comparison is None else _compared(comparison, names)
    if found is not None and not any(_same(one, results) for one in found.runs):
        raise InputError(
            f"{comparison} compares other runs than {run.path} (weights, seed or start differ). Give the comparison "
            "that this run is part of."
        )
    return Material(run, results, description, people, found, names)


def _same(one: ComparedRun, results: Results) -> bool:
    """Whether a compared run is this one: its start, which going on keeps, its seed and its weights."""
    compared = (one.created, one.seed, one.model.sha256, one.model.source)
    return compared == (results.created, results.seed, results.model.sha256, results.model.source)


def _compared(path: Path, names: bool) -> Comparison:
    file = path / "compare.json" if path.is_dir() else path
    try:
        found = Comparison.model_validate_json(file.read_bytes())
    except OSError as error:
        raise StorageError(
            f"{file} cannot be read ({error.strerror}). Give the folder that `palpate compare` or `palpate harden` "
            "wrote."
        ) from error
    except ValidationError as error:
        raise StorageError(f"{file} is not what palpate wrote. Run `palpate compare` again.") from error
    return found if names else _nameless(found)


def _nameless(found: Comparison) -> Comparison:
    """Without the file names of images."""
    return found.model_copy(update={"pairs": [_pair(pair) for pair in found.pairs]})


def _pair(pair: Pair) -> Pair:
    def nameless(images: list[SwitchedImage]) -> list[SwitchedImage]:
        return [one.model_copy(update={"image": None}) for one in images]

    switches = [
        one.model_copy(update={"gained": nameless(one.gained), "lost": nameless(one.lost)}) for one in pair.switches
    ]
    return pair.model_copy(update={"switches": switches})


def _planned(run: RunFolder) -> dict[str, Any]:
    """The table `[evidence]` of the plan; empty if there is none or the plan cannot be read."""
    try:
        table = tomllib.loads(run.plan.read_text(encoding="utf-8")).get("evidence", {})
    except (OSError, ValueError):
        return {}
    return table if isinstance(table, dict) else {}
