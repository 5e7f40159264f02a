"""The first plan, as `palpate init` writes it from the contents of a folder."""
