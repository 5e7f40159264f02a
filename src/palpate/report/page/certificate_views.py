"""What the page shows of certificates in addition to the figures of `results.json`."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from palpate.report.compute.certificates.sentences import telling
from palpate.report.draw import certificates as drawing
from palpate.report.model.schema import Results
from palpate.report.model.schema_certificates import CertificateResults
from palpate.report.model.scored import Scored


def pieces(results: Results) -> dict[str, Any]:
    """What the templates need; nothing is shown of a run without certificates."""
    summary = results.certificates
    if summary is None:
        return {"certificates": None}
    return {
        "certificates": summary,
        "certificate_chart": Markup(drawing.chart(summary, results.task, results.data))
        if drawing.drawn(summary)
        else None,
        "certificate_scored": Scored(results.task),
        "certificate_parts": [item for item in summary.items if item.points and item.points[0].parts],
        "certificate_telling": telling(summary.items),
        "per_image": per_image,
    }


def per_image(item: CertificateResults) -> str:
    """Forward and backward passes of an image."""
    return f"{item.forwards / item.images:.0f} + {item.backwards / item.images:.0f}" if item.images else "–"
