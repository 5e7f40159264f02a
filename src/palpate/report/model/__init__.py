"""The shape of a report: what `run.json` and `results.json` hold, as types, and the words for them."""
