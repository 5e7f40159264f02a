"""A page of the report, made and taken apart for tests."""

from __future__ import annotations

from html.parser import HTMLParser

from palpate.storage.runs import RunFolder
from tests.report.known import render


class Page(HTMLParser):
    """Every element with its attributes, the text of scripts, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in {"script", "style"}:
            self._inside = tag

    def handle_endtag(self, tag):
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif not self._inside:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def page(run: RunFolder, **options) -> Page:
    """The page of a run, taken apart."""
    return Page(render(run, **options))


def section(run: RunFolder, identity: str, **options) -> str:
    """The markup of one section."""
    html = render(run, **options)
    start = html.index(f'<section id="{identity}">')
    return html[start : html.index("</section>", start)]
