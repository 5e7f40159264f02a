"""Write the JSON schemas of `results.json` and `compare.json`: `python -m palpate.report [--compare] FILE`."""

import sys
from pathlib import Path

from palpate.report.model.schema import json_schema
from palpate.report.model.schema_compare import comparison_schema
from palpate.storage.writing import write_atomically

schema = comparison_schema() if "--compare" in sys.argv else json_schema()
write_atomically(Path(sys.argv[-1]), schema)
