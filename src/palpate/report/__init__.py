"""The report: figures, tables and one HTML file, made from a run folder alone."""

from palpate.report.html import write_report
from palpate.report.results import summarise
from palpate.report.terminal import show

__all__ = ["show", "summarise", "write_report"]
