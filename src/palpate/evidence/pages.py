"""The test report to sign, as a page, and the texts to copy, as Markdown."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from palpate.evidence import words
from palpate.evidence.material import Material
from palpate.evidence.sources import READ, SOURCES
from palpate.evidence.traceability import Row
from palpate.report.model.typed import visible
from palpate.report.model.wording import Wording

_MARKS = re.compile(r"[\\`*_~|]|\](?=[(\[:])")
"""Letters with a meaning in Markdown; a bracket has one only before its address."""
_CODE = re.compile(r"`([^`]+)`")


def in_markdown(value: Any) -> str:
    r"""A text as one line of Markdown that shows it as it is: no HTML, no table cell, no link.

    >>> in_markdown("a|b <img src=x> [c](d)")
    'a\\|b &lt;img src=x&gt; [c\\](d)'
    """
    line = re.sub(r"\s", " ", visible(str(value)))
    return _MARKS.sub(r"\\\g<0>", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def in_html(value: Any) -> Any:
    """A text with what is between backticks as code; all else is escaped."""
    if not isinstance(value, str) or isinstance(value, Markup) or "`" not in value:
        return value
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(value))))


@cache
def _environment(page: bool) -> Environment:
    return Environment(
        loader=PackageLoader("palpate.evidence"),
        autoescape=page,
        finalize=in_html if page else in_markdown,
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
        headline=None if material.comparison is None else material.comparison.headline,
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
        blank=words.BLANK,
        **more,
    )
    return (page + "\n").encode()
