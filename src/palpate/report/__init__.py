"""The report: figures, tables and one HTML file, made only from a run folder."""

from palpate.report.compute.results import summarise
from palpate.report.page.html import write_report
from palpate.report.page.terminal import show

__all__ = ["show", "summarise", "write_report"]
