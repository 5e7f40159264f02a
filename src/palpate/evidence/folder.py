"""The evidence folder: everything is written, and a manifest with the digest of each file."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from palpate.errors import StorageError, printable
from palpate.evidence.csv_tables import tables
from palpate.evidence.junit import junit
from palpate.evidence.material import Material
from palpate.evidence.pages import page_to_sign, texts
from palpate.evidence.pdf import print_page, printer
from palpate.evidence.traceability import traceability, traced
from palpate.report.page.html import render
from palpate.storage.writing import write_atomically

MANIFEST = "SHA256SUMS"
PAGES = ("report.html", "test_report.html")


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        folder: the evidence folder.
        files: names of its files, without the manifest.
        without: why pages have no PDF; empty if they have.
    """

    folder: Path
    files: tuple[str, ...]
    without: str


def write_evidence(material: Material, folder: Path, *, pdf: bool = True) -> Written:
    """Write the evidence folder; one that palpate wrote before is replaced.

    Args:
        material: what it is made from.
        folder: where to.
        pdf: print the pages too, if a browser or WeasyPrint is installed.

    Raises:
        StorageError: the folder holds other files, or the disk does not accept them.
    """
    old = _listed(folder)
    files = _files(material, folder)
    for name in old:
        (folder / name).unlink(missing_ok=True)
    # The manifest is first, so that a folder whose writing was interrupted is known as palpate's.
    _write_manifest(folder, {name: _digest(data) for name, data in files.items()})
    for name, data in files.items():
        write_atomically(folder / name, data)
    without, printed = _printed(folder) if pdf else ("PDF was not asked for.", {})
    # What an interrupted command leaves is listed, or not in the folder at all.
    _write_manifest(folder, {name: _digest(data) for name, data in {**files, **printed}.items()})
    for name, data in printed.items():
        write_atomically(folder / name, data)
    return Written(folder, tuple(sorted([*files, *printed])), without)


def _files(material: Material, folder: Path) -> dict[str, bytes]:
    """Every file but PDFs and the manifest."""
    results, rows = material.results, traced(material, folder)
    page = render(material.run, material.description, results, names=material.names)
    files = {
        "report.html": page.encode(),
        "test_report.html": page_to_sign(material, rows),
        "texts.md": texts(material),
        "results.json": _json(results.model_dump(mode="json")),
        "junit.xml": junit(results.title, results.gates, failed=material.failed, finished=material.finished),
        "traceability.csv": traceability(rows),
        **{f"tables/{name}": data for name, data in tables(material).items()},
    }
    if material.run.plan.is_file():
        files["plan.toml"] = material.run.plan.read_bytes()
    if material.comparison is not None:
        from palpate.report.page.compare_html import render_comparison

        files["comparison/compare.html"] = render_comparison(material.comparison).encode()
        files["comparison/compare.json"] = _json(material.comparison.model_dump(mode="json"))
    return files


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _printed(folder: Path) -> tuple[str, dict[str, bytes]]:
    """Why there is no PDF, and those that there are; printed elsewhere, so that a stopped printer leaves nothing."""
    by = printer()
    if by is None:
        return "No PDF: install Chromium or WeasyPrint, or print the pages from a browser.", {}
    made: dict[str, bytes] = {}
    wrong = ""
    with tempfile.TemporaryDirectory(prefix="palpate-", ignore_cleanup_errors=True) as elsewhere:
        for name in PAGES:
            pdf = (Path(elsewhere) / name).with_suffix(".pdf")
            if why := print_page(folder / name, pdf, by):
                wrong = f"No PDF of {name}: {why} Print it from a browser."
            else:
                made[pdf.name] = pdf.read_bytes()
    return wrong, made


def _listed(folder: Path) -> set[str]:
    """The files of an evidence folder that was written before; empty for a new one.

    Raises:
        StorageError: the folder holds something else, which the new manifest would not list, or a file was edited.
    """
    if not folder.exists():
        return set()
    if not folder.is_dir():
        raise StorageError(f"{folder} is not a folder. Choose another --out.")
    # A link to a folder counts as a file: what is behind it was not written here.
    inside = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    names, manifest = {path.relative_to(folder).as_posix() for path in inside}, folder / MANIFEST
    lines = manifest.read_text(encoding="utf-8", errors="replace").splitlines() if MANIFEST in names else []
    written = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    if others := sorted(names - written.keys() - {MANIFEST}):
        raise StorageError(
            f"{folder} holds other files than evidence, such as {printable(others[0])}. Remove them, or choose another "
            "--out."
        )
    # A report that a person has filled in and signed is not thrown away.
    old = names & written.keys()
    if edited := sorted(name for name in old if _digest((folder / name).read_bytes()) != written[name]):
        raise StorageError(
            f"{folder / printable(edited[0])} was changed since palpate wrote it, and would be replaced. Choose "
            "another --out, or remove the file."
        )
    return old


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write_manifest(folder: Path, digests: Mapping[str, str]) -> None:
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    write_atomically(folder / MANIFEST, "".join(lines).encode())
