"""The page of a comparison in one file, like the report: every text escaped, no request, readable without scripts."""

from __future__ import annotations

from palpate.report.model.schema_compare import Comparison


def render_comparison(comparison: Comparison) -> str:
    """The page's HTML."""
    return f"<!doctype html><title>{len(comparison.runs)} runs</title>"
