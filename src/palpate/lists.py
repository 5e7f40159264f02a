"""`palpate list`: the attacks, artefacts, defences, post-processing steps and formats that have names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from palpate.console import console, echo, echo_lines
from palpate.errors import InputError, nearest

lists = typer.Typer(
    help="List attacks, artefacts, defences, post-processing steps and file formats.", no_args_is_help=True
)


@lists.command("attacks")
def list_attacks(
    name: Annotated[str | None, typer.Argument(help="One attack, with its parameters; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with parameters.")] = False,
) -> None:
    """The attacks that a plan can name."""
    from palpate import catalog

    chosen = [catalog.find(name)] if name else list(catalog.attacks().values())
    if as_json:
        echo_lines(json.dumps([_described(entry) for entry in chosen], indent=2, ensure_ascii=False))
    elif name:
        _show_attack(_described(chosen[0]))
    else:
        _attack_table(chosen)


def _described(entry: Any) -> dict[str, Any]:
    from dataclasses import asdict

    from palpate import catalog

    return asdict(entry) | {"parameters": {key: p.default for key, p in catalog.parameters(entry).items()}}


def _show_attack(entry: dict[str, Any]) -> None:
    echo(f"{entry['name']}: {entry['summary']}")
    echo(f"  tasks       {', '.join(entry['tasks'])}{', with a goal' if entry['targeted_only'] else ''}")
    echo(f"  norms       {', '.join(entry['norms'])}")
    for key, value in entry["parameters"].items():
        echo(f"  {key:<11} {'set by the attack' if value is None else json.dumps(value)}")
    echo(f"  published   {entry['reference']}")


def _attack_table(entries: Sequence[Any]) -> None:
    from rich.table import Table

    from palpate import catalog

    table = Table(
        "attack", "what it does", "tasks", "norms", "gradient", "random", box=None, pad_edge=False, header_style="bold"
    )
    for entry in entries:
        yes = ("yes" if entry.gradient else "no", "yes" if entry.random else "no")
        tasks = "all" if entry.tasks == catalog.TASKS else "\n".join(entry.tasks)
        table.add_row(entry.name, entry.summary, tasks, "\n".join(entry.norms), *yes)
    console().print(table)


@lists.command("artefacts")
def list_artefacts(
    name: Annotated[str | None, typer.Argument(help="One artefact, with its parameters; by default all.")] = None,
    modality: Annotated[
        str | None,
        typer.Option(help="Only those of: ct, mr, xray, ultrasound, endoscopy, dermoscopy, fundus, microscopy."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with parameters, ranges and sources.")] = False,
) -> None:
    """The artefacts of acquisition that a plan can name."""
    from palpate.artefacts import catalog

    fitting = catalog.of_modality(modality) if modality else tuple(catalog.artefacts().values())
    parts = name.split("+") if name else []
    chosen = [catalog.find(part.strip()) for part in parts] if name else list(fitting)
    for entry in chosen:
        if entry not in fitting:
            kinds = ", ".join(entry.modalities)
            raise InputError(f"Artefact '{entry.name}' is of {kinds}, not of {modality}. Leave out --modality.")
    if as_json:
        from palpate.artefacts.described import described

        echo_lines(json.dumps([described(entry) for entry in chosen], indent=2, ensure_ascii=False))
    elif name:
        for entry in chosen:
            _show_artefact(entry)
        if len(chosen) > 1:
            first = catalog.make(name).parameters[0].name
            echo(f"Together their parameters have the names of both, such as '{first}'.")
    else:
        _artefact_table(chosen)


def _show_artefact(entry: Any) -> None:
    from rich.table import Table

    from palpate.artefacts.described import described, range_words

    facts = described(entry)
    table = Table.grid(padding=(0, 2))
    for key, text in (
        ("  images", f"{', '.join(entry.modalities)}; {' or '.join(f'{n}D' for n in facts['dimensions'])}"),
        ("  needs", ", ".join(facts["needs"]) or "nothing more"),
        ("  anatomy", "moves, and masks and boxes with it" if facts["moves"] else "stays where it is"),
        *((f"  {one['name']}", f"{range_words(one)}\n({one['source']})") for one in facts["parameters"]),
        ("  published", entry.reference),
    ):
        table.add_row(key, text)
    echo(f"{entry.name}: {entry.summary}")
    console().print(table)


def _artefact_table(entries: Sequence[Any]) -> None:
    """One part for each group of modalities, so that a line has room for what an artefact does."""
    from rich.table import Table

    from palpate.artefacts.catalog import MODALITIES

    wide = max((len(entry.name) for entry in entries), default=0) + 2
    for modalities in dict.fromkeys(entry.modalities for entry in entries):
        table = Table.grid(padding=(0, 2))
        table.add_column(min_width=wide, no_wrap=True)
        for entry in entries:
            if entry.modalities == modalities:
                table.add_row(f"  {entry.name}", entry.summary)
        console().print("all images" if modalities == MODALITIES else ", ".join(modalities), style="bold")
        console().print(table)
    echo("`palpate list artefacts NAME` shows the parameters of one, with their sources.")


@lists.command("defences")
def list_defences(
    name: Annotated[str | None, typer.Argument(help="One defence, with its parameters; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with parameters.")] = False,
) -> None:
    """The defences that a plan can put around a model."""
    from palpate.defences import catalog

    chosen = [catalog.find(name)] if name else list(catalog.defences().values())
    if as_json:
        echo_lines(json.dumps([catalog.described(entry) for entry in chosen], indent=2, ensure_ascii=False))
    elif name:
        _show_defence(catalog.described(chosen[0]))
    else:
        _defence_table(chosen)


def _show_defence(entry: dict[str, Any]) -> None:
    echo(f"{entry['name']}: {entry['summary']}")
    echo(f"  tasks       {', '.join(entry['tasks'])}")
    echo(f"  attacked    {entry['attacked']}")
    for key, value in entry["parameters"].items():
        echo(f"  {key:<11} {value}")
    echo(f"  published   {entry['reference']}")


def _defence_table(entries: Sequence[Any]) -> None:
    from rich.table import Table

    from palpate.defences.catalog import TASKS

    table = Table("defence", "what it does", "tasks", "attacked", box=None, pad_edge=False, header_style="bold")
    for entry in entries:
        tasks = "all" if entry.tasks == TASKS else "\n".join(entry.tasks)
        table.add_row(entry.name, entry.summary, tasks, entry.attacked)
    console().print(table)


@lists.command("handlings", hidden=True)
@lists.command("post-processing")
def list_post_processing(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Post-processing steps in a hospital, for survival.after and robust_to in a plan."""
    from rich.table import Table

    from palpate.postprocessing import known

    if as_json:
        echo_lines(json.dumps([{"name": name, "summary": words} for name, words in known()], indent=2))
        return

    table = Table("step", "what it does", box=None, pad_edge=False, header_style="bold")
    for name, words in known():
        table.add_row(name, words)
    console().print(table)


@lists.command("formats")
def list_formats(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """The formats that images are read from and written back to."""
    from palpate.data.formats.registry import FORMATS

    if as_json:
        echo_lines(json.dumps([{"name": one.name, "suffix": one.suffix or None} for one in FORMATS], indent=2))
        return
    for one in FORMATS:
        echo(f"{one.name:<14} {one.suffix or 'a folder of slices'}")


@lists.command("recipes")
def list_recipes(
    name: Annotated[str | None, typer.Argument(help="One recipe, with its settings; by default all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with settings.")] = False,
) -> None:
    """The recipes that `palpate harden` can train with; every attack of the catalogue is one too."""
    from dataclasses import asdict

    from palpate.hardening.recipes.table import RECIPES, defaults

    if name is not None and name not in RECIPES:
        raise InputError(f"There is no recipe '{name}'. {nearest(name, RECIPES)}")
    chosen = [asdict(RECIPES[one]) | {"settings": defaults(RECIPES[one])} for one in ([name] if name else RECIPES)]
    if as_json:
        echo_lines(json.dumps(chosen, indent=2, ensure_ascii=False, default=str))
        return
    for entry in chosen:
        echo(f"{entry['name']}: {entry['summary']}")
        echo(f"  tasks       {', '.join(entry['tasks'])}")
        echo(f"  each step   {entry['passes']}")
        for key, value in entry["settings"].items() if name else ():
            echo(f"  {key:<11} {json.dumps(value, default=str)}")
        echo(f"  published   {entry['reference']}")
