"""The drawings of a report, each an inline SVG or a small picture."""
