"""`palpate audit --dry-run`: what would be run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from palpate.commands.estimate import lasting
from palpate.console import echo, echo_lines
from palpate.units import counted

if TYPE_CHECKING:
    from palpate.audit.estimate.outline import Outline


def dry_run(path: Path, folder: Path, *, root: Path | None, as_json: bool) -> None:
    """Print what an audit of the plan would do; nothing is run and nothing is written."""
    from palpate.audit.estimate.outline import outline
    from palpate.audit.plan.plan import load_plan

    found = outline(load_plan(path, root), folder)
    if as_json:
        echo_lines(json.dumps({"folder": str(folder), **asdict(found)}, indent=1))
        return
    for line in lines(found, path, folder):
        echo(line)


def lines(found: Outline, path: Path, folder: Path) -> list[str]:
    """What is printed."""
    budgets = counted(len(found.budgets), "budget")
    said = [f"{counted(found.images, 'image')}, {budgets} ({', '.join(found.budgets)}), into {folder}."]
    wide = max(len(one.name) for one in found.attacks)
    for one in found.attacks:
        effort = "as many passes as it needs" if one.effort is None else f"at most {one.effort} {one.unit} per budget"
        shards = counted(one.shards, "shard")
        said.append(f"  {one.name:<{wide}}  {one.goal}, {effort}, order of budgets {one.order}, {shards}")
    if found.artefacts:
        said.append(f"  {counted(len(found.artefacts), 'artefact')}: {', '.join(found.artefacts)}")
    if found.certificates:
        said.append(f"  {counted(found.certificates, 'certificate')}")
    said += [f"  gate: {text}" for text in found.gates]
    said.append(f"{counted(found.shards, 'shard')} in all; {found.stored} are stored there already.")
    if found.seconds is not None and found.stored:
        left = max(0, found.shards - found.stored) * found.seconds / found.stored
        said.append(f"The stored ones took {lasting(found.seconds)}; at this pace the others take {lasting(left)}.")
    else:
        said.append(f"How long it takes is not known before a shard is stored. `palpate estimate {path}` measures it.")
    return [*said, *(f"Please check: {text}" for text in found.questions)]
