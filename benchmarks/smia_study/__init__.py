"""The study of SMIA on real images: victims, attacks at equal steps and at equal passes, tables, plots, a page."""
