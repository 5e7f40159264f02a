"""What the pages share: templates with every text escaped, filters, and the policy for scripts."""

from __future__ import annotations

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined

from palpate.report.model import wording, words
from palpate.report.page import stability_views

_FILTERS = (
    "amount",
    "duration",
    "fraction",
    "interval",
    "p_value",
    "percent",
    "ratio",
    "ratio_interval",
    "share_of",
    "sentence",
    "points",
    "closeness",
)


def page_environment() -> Environment:
    """The templates of a page; every text is escaped, and the filters write numbers as the report does."""
    environment = Environment(
        loader=PackageLoader("palpate.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update({name: getattr(words, name) for name in _FILTERS})
    environment.filters |= {"whole": words.whole, "stability": stability_views.written}
    environment.filters |= {
        "title_of": wording.title,
        "reading": wording.reading,
        "reading_interval": wording.reading_interval,
    }
    return environment


def source(environment: Environment, name: str) -> str:
    """A file of the templates as it is."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def script_hash(script: str) -> str:
    """What the policy of a page calls its only script."""
    # The page's policy allows only this script, in case a text is ever not escaped.
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
