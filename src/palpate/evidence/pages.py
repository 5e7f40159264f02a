"""The test report to sign, as a page, and the texts to copy, as Markdown."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from palpate.evidence import words
from palpate.evidence.material import Material
from palpate.evidence.sources import READ, SOURCES, STATUS_WORDS
from palpate.evidence.traceability import Row
from palpate.report.model.wording import Wording


@cache
def _environment(escaped: bool) -> Environment:
    return Environment(
        loader=PackageLoader("palpate.evidence"),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_to_sign(material: Material, rows: list[Row]) -> bytes:
    """`test_report.html`: it has no script and loads nothing."""
    return _filled(_environment(True), "test_report.html.j2", material, rows_=rows)


def texts(material: Material) -> bytes:
    """`texts.md`: for the instructions for use, and a model card."""
    return _filled(_environment(False), "texts.md.j2", material)


def _filled(environment: Environment, name: str, material: Material, **more: Any) -> bytes:
    results, worst = material.results, material.results.worst_case
    page = environment.get_template(name).render(
        r=results,
        people=material.people,
        pairs=material.pairs,
        wording=Wording(results.task),
        w=words,
        facts=words.facts(results),
        times=words.times(results),
        worst=[(one, words.worst_rows(results, one)) for one in worst],
        methods=words.methods(results),
        gaps=words.not_tested(material),
        circumstances=words.circumstances(results),
        finished=material.finished,
        sources=SOURCES,
        read=READ,
        status_words=STATUS_WORDS,
        blank=words.BLANK,
        **more,
    )
    return (page + "\n").encode()
