"""The tables of a plan, one module each: their fields, types and defaults."""
