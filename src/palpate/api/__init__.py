"""Python as people write it: attack, evaluate, audit, certify or harden a model in one call, and read a run folder."""
