"""Write the JSON schema of `results.json`: `python -m palpate.report docs/reference/results.schema.json`."""

import sys
from pathlib import Path

from palpate.report.model.schema import json_schema
from palpate.storage.runs import write_atomically

write_atomically(Path(sys.argv[1]), json_schema())
