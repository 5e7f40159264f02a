"""Audits: a plan, how it is carried out and resumed, and one record per image, attack and budget."""
