"""The first plan, as `palpate init` writes it from a look at a folder."""
