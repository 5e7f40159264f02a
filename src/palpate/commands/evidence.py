"""`palpate evidence`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from palpate.console import echo

_BLANK = "Without it, the run's plan says it in [evidence], or the report has a blank to fill in."


def evidence(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default evidence/ in the run folder.")] = None,
    comparison: Annotated[
        Path | None,
        typer.Option(help="Folder that `palpate compare` or `palpate harden` wrote: before and after a mitigation."),
    ] = None,
    tester: Annotated[str, typer.Option(help=f"Who tested. {_BLANK}")] = "",
    organisation: Annotated[str, typer.Option(help="Where the testers work.")] = "",
    independence: Annotated[str, typer.Option(help="How independent they are of those who made the model.")] = "",
    product: Annotated[str, typer.Option(help="Name of the device or software.")] = "",
    product_version: Annotated[str, typer.Option(help="Its version.")] = "",
    purpose: Annotated[str, typer.Option(help="Its intended use.")] = "",
    pdf: Annotated[bool, typer.Option("--pdf/--no-pdf", help="Print the pages too, if a browser is installed.")] = True,
    names: Annotated[
        bool, typer.Option("--names", help="Show file names of images, and groups, which may identify patients.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only the folder's path.")] = False,
) -> None:
    """Write an evidence folder: report, test report to sign, tables, gates as JUnit, traceability, texts to copy.

    It states what was tested and found, and makes no statement about any regulation.
    """
    from palpate.evidence.folder import MANIFEST, write_evidence
    from palpate.evidence.material import People, gather
    from palpate.storage.runs import RunFolder

    folder = RunFolder(run)
    given = {
        "tester": tester,
        "organisation": organisation,
        "independence": independence,
        "product": product,
        "version": product_version,
        "purpose": purpose,
    }
    material = gather(folder, People.of(folder, given), comparison=comparison, names=names)
    written = write_evidence(material, out or run / "evidence", pdf=pdf)
    if quiet:
        echo(written.folder)
        return
    for name in written.files:
        echo(f"  {name}")
    if written.without:
        echo(written.without)
    echo(f"Wrote {len(written.files)} files and {MANIFEST} into {written.folder}. Fill in the marked fields, and sign.")
