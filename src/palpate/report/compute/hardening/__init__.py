"""Whether the word *hardened* may be used for a model, from records alone, and what hardening cost."""
