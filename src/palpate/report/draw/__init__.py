"""The drawings of a report, each one inline SVG or a small picture."""
