"""Attacks that search the smallest change, and a curve of budgets from one of their runs."""
