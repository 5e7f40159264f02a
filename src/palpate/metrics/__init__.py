"""Figures from records: proportions with intervals, robustness, clinical direction, grades and health checks."""
