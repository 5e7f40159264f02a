"""The figures and sentences of a report, computed from records."""
