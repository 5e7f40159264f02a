"""Write the reference pages from the code: `python tools/make_reference.py`. Tests keep them fresh."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import click
import typer
from pydantic import BaseModel

import architecture
import palpate
from palpate import artefacts as artefact_package
from palpate import attacks as attack_modules
from palpate import catalog, checks, contracts, tasks, threats
from palpate import defences as defence_package
from palpate.artefacts import catalog as artefact_catalog
from palpate.artefacts.described import described, range_words
from palpate.audit.plan import plan
from palpate.audit.plan.sections import artefacts as plan_artefacts
from palpate.audit.plan.sections import attacks as plan_attacks
from palpate.audit.plan.sections import certificates as plan_certificates
from palpate.audit.plan.sections import data as plan_data
from palpate.audit.plan.sections import defences as plan_defences
from palpate.audit.plan.sections import evidence as plan_evidence
from palpate.audit.plan.sections import gates as plan_gates
from palpate.audit.plan.sections import harden as plan_harden
from palpate.audit.plan.sections import model as plan_model
from palpate.audit.plan.sections import preprocess as plan_preprocess
from palpate.audit.plan.sections import quality as plan_quality
from palpate.audit.plan.sections import run as plan_run
from palpate.audit.plan.sections import stability as plan_stability
from palpate.audit.plan.sections import survival as plan_survival
from palpate.audit.plan.sections import tasks as plan_tasks
from palpate.audit.plan.sections import threat as plan_threat
from palpate.cli import app
from palpate.defences import catalog as defence_catalog
from palpate.docstrings import meanings
from palpate.storage import artefacts, certificates, records, traces

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
NOTE = "<!-- Written by tools/make_reference.py from the code; edit the code. -->"


def attacks() -> str:
    """The catalogue."""
    lines = [
        NOTE,
        "# Attacks",
        "",
        "| name | what it does | tasks | norms | gradient | random | stays in the ball |",
        "|---" * 7 + "|",
    ]
    yes = {True: "yes", False: "no"}
    for entry in catalog.attacks().values():
        tasks = "all" if entry.tasks == catalog.TASKS else ", ".join(entry.tasks)
        goal = ", with a goal" if entry.targeted_only else ""
        lines.append(
            f"| [`{entry.name}`](#{entry.name}) | {entry.summary} | {tasks}{goal} | {', '.join(entry.norms)} "
            f"| {yes[entry.gradient]} | {yes[entry.random]} | {yes[entry.projected]} |"
        )
    for entry in catalog.attacks().values():
        text = inspect.getdoc(catalog.factory(entry)) or ""
        lines += ["", f"## {entry.name}", "", text, "", f"{entry.reference}", ""]
        settings = catalog.parameters(entry)
        if settings:
            lines += ["| parameter | default |", "|---|---|"]
            lines += [f"| `{name}` | `{_toml(setting.default)}` |" for name, setting in settings.items()]
    return "\n".join(lines) + "\n"


def defence_table() -> str:
    """The catalogue of defences."""
    lines = [
        NOTE,
        "# Defences",
        "",
        "What can surround a model in a plan: `[[model.defences]]`. Attacks know them. [Which of them "
        "hold](../explanation/defences.md).",
        "",
        "| name | what it does | tasks | attacked |",
        "|---|---|---|---|",
    ]
    entries = list(defence_catalog.defences().values())
    for entry in entries:
        tasks = "all" if entry.tasks == defence_catalog.TASKS else ", ".join(entry.tasks)
        lines.append(f"| [`{entry.name}`](#{entry.name}) | {entry.summary} | {tasks} | {entry.attacked} |")
    for entry in entries:
        text, _, said = (inspect.getdoc(entry.maker) or "").partition("\n\nArgs:\n")
        meanings = dict(re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", said, flags=re.MULTILINE))
        lines += ["", f"## {entry.name}", "", text, "", f"{entry.reference}", "", "| parameter | default | meaning |"]
        lines += ["|---|---|---|"]
        for name, default in defence_catalog.described(entry)["parameters"].items():
            lines.append(f"| `{name}` | `{default}` | {_sentence(meanings[name])} |")
    return "\n".join(lines) + "\n"


def artefact_table() -> str:
    """The catalogue of artefacts."""
    lines = [
        NOTE,
        "# Artefacts",
        "",
        "What scanners, lenses and patients do to images. Severity 0 is the image; each strength has a value at the "
        "severities 1 to 5. `palpate list artefacts NAME` shows one.",
        "",
        "| name | what it does | images |",
        "|---|---|---|",
    ]
    entries = list(artefact_catalog.artefacts().values())
    for entry in entries:
        kinds = "all" if entry.modalities == artefact_catalog.MODALITIES else ", ".join(entry.modalities)
        lines.append(f"| [`{entry.name}`](#{entry.name}) | {entry.summary} | {kinds} |")
    for entry in entries:
        found = described(entry)
        lines += ["", f"## {entry.name}", "", inspect.getdoc(type(artefact_catalog.make(entry.name))) or "", ""]
        needs = ", ".join(found["needs"])
        lines += [
            f"{entry.reference} {' or '.join(f'{axes}D' for axes in found['dimensions'])}."
            + (f" Needs: {needs}." if needs else "")
            + (" Moves anatomy; masks and boxes move along." if found["moves"] else ""),
            "",
            "| parameter | range | source |",
            "|---|---|---|",
        ]
        lines += [f"| {one['name']} | {range_words(one)} | {one['source']} |" for one in found["parameters"]]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "2.5 / steps"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def record_fields() -> str:
    """The fields of a record and of a trace, from their docstrings."""
    lines = [
        NOTE,
        "# Records",
        "",
        f"One row per image, attack and budget in `records/*.parquet`, schema {records.SCHEMA_VERSION}. Read them with "
        "any Parquet reader, for example `pandas.read_parquet('RUN/records')`.",
        "",
        *_rows(records, "Record"),
        "",
        "## Traces",
        "",
        "One row per step of a start of an attack on an image in `stability/*.parquet`, version "
        f"{traces.TRACE_VERSION}: [how to read them](../howto/stability.md).",
        "",
        inspect.getdoc(traces).partition("\n\n")[2],  # type: ignore[union-attr]
        "",
        *_rows(traces, "TraceRow"),
        "",
        "## Artefacts",
        "",
        "One row per image, artefact and set of parameters in `artefacts/*.parquet`, version "
        f"{artefacts.ARTEFACT_VERSION}.",
        "",
        *_rows(artefacts, "ArtefactRow"),
        "",
        "## Certificates",
        "",
        "One row per image, sigma and L2 radius in `certificates/*.parquet`, version "
        f"{certificates.CERTIFICATE_VERSION}: [what they mean](../explanation/certificates.md).",
        "",
        *_rows(certificates, "CertificateRow"),
    ]
    return "\n".join(lines) + "\n"


def _rows(module: ModuleType, name: str) -> list[str]:
    """The fields of a dataclass as a table, from the docstrings below them."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name).body
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            meaning = " ".join(str(text.value.value).split()).replace("|", "\\|")
            lines.append(f"| `{ast.unparse(field.target)}` | {ast.unparse(field.annotation)} | {meaning} |")
    return lines


def plan_fields() -> str:
    """Every section and field of a plan."""
    lines = [
        NOTE,
        "# Plans",
        "",
        "A plan is a TOML file; its paths are relative to it. `palpate init DIR` writes a first one.",
        "",
    ]
    sections: list[tuple[str, type[BaseModel]]] = [
        ("top level", plan.Plan),
        ("[model]", plan_model.ModelSection),
        ("[model.preprocess]", plan_preprocess.PreprocessSection),
        ("[model.inferer]", plan_model.InfererSection),
        ("[[model.defences]]", plan_defences.DefenceSection),
        ("[model.endpoint]", plan_model.EndpointSection),
        ("[data]", plan_data.DataSection),
        ("[task] of a classification", plan_tasks.ClassificationSection),
        ("[task] of findings", plan_tasks.MultiLabelSection),
        ("[task] of masks", plan_tasks.SegmentationSection),
        ("[task] of boxes", plan_tasks.DetectionSection),
        ("[threat]", plan_threat.ThreatSection),
        ("[[attacks]]", plan_attacks.AttackSection),
        ("[[artefacts]]", plan_artefacts.ArtefactSection),
        ("[certificates]", plan_certificates.CertificatesSection),
        ("[[gates]]", plan_gates.GateSection),
        ("[evidence]", plan_evidence.EvidenceSection),
        ("[harden]", plan_harden.HardenSection),
        ("[[harden.mixture]]", plan_harden.RecipeSection),
        ("[survival]", plan_survival.SurvivalSection),
        ("[quality]", plan_quality.QualitySection),
        ("[stability]", plan_stability.StabilitySection),
        ("[export]", plan_survival.ExportSection),
        ("[run]", plan_run.RunSection),
    ]
    for title, section in sections:
        lines += [f"## {title}", "", "| field | default | meaning |", "|---|---|---|"]
        told = meanings(section)
        for name, field in section.model_fields.items():
            default = (
                "required" if field.is_required() else f"`{_default(field.get_default(call_default_factory=True))}`"
            )
            shown = " ".join(told.get(name, "").split()).replace("|", "\\|")
            lines.append(f"| `{name}` | {default} | {shown} |")
        lines.append("")
    return "\n".join(lines)


def _default(value: object) -> str:
    if isinstance(value, BaseModel):
        return "its own defaults"
    if isinstance(value, tuple):
        return str(list(value))
    return "none" if value is None else _toml(value)


def commands() -> str:
    """Every command of the command line, with its arguments and options."""
    group = typer.main.get_command(app)
    lines = [NOTE, "# Command line", "", _sentence(group.help), ""]
    for name, command in sorted(_walk(group)):
        lines += [f"## palpate {name}", "", _sentence(command.help), ""]
        settings = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
        if settings:
            lines += ["| argument or option | meaning |", "|---|---|"]
        for setting in settings:
            shown = ", ".join(setting.opts) if setting.param_type_name == "option" else str(setting.name).upper()
            lines.append(f"| `{shown}` | {_sentence(getattr(setting, 'help', ''))} |")
        lines.append("")
    return "\n".join(lines)


def _walk(group: click.Command, prefix: str = "") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, command in getattr(group, "commands", {}).items():
        inner = getattr(command, "commands", None)
        found += _walk(command, f"{prefix}{name} ") if inner else [(f"{prefix}{name}", command)]
    return found


def _sentence(text: str | None) -> str:
    return " ".join((text or "").replace("\b", "").split()).replace("|", "\\|")


def public() -> str:
    """The public surface, from each package's `__all__`, and what it promises."""
    lines = [
        NOTE,
        "# Public surface",
        "",
        "Users may import what this page lists. Everything else may change without notice.",
        "",
        "Before 1.0 a minor version may rename or change what is public; the changelog says so. An old name works "
        "until 1.0 with a `DeprecationWarning` that names the new one (`palpate/_moved.py` lists them). The identities "
        "of attacks, the columns of records, the keys of `run.json`, the fields of plans and the names in the "
        "catalogue do not change.",
    ]
    for package in (palpate, contracts, checks, catalog, artefact_package, artefact_catalog, defence_package):
        lines += ["", f"## {package.__name__}", "", *(f"- `{package.__name__}.{name}`" for name in package.__all__)]
    for package in (tasks, threats, attack_modules):
        lines += ["", f"## {package.__name__}", "", "| module | what it holds |", "|---|---|"]
        for name in package.__all__:
            module = import_module(f"{package.__name__}.{name}")
            lines.append(f"| `{module.__name__}` | {(inspect.getdoc(module) or '').partition(chr(10))[0]} |")
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """File name -> text."""
    return {
        "attacks.md": attacks(),
        "artefacts.md": artefact_table(),
        "defences.md": defence_table(),
        "records.md": record_fields(),
        "plan.md": plan_fields(),
        "cli.md": commands(),
        "public.md": public(),
    }


if __name__ == "__main__":
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text)
    architecture.write()
