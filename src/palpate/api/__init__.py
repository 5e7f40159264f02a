"""Python as people write it: one call to attack, evaluate, audit, certify or harden a model, and to read a run folder."""
