"""A look at an unknown folder: what lies there, as a proposal for a first plan."""
