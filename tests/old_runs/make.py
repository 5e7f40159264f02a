"""Makes the old runs, with the code of commit 18eab80 alone; see README.md."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from tests.old_runs.identities import audit, identities
from tests.old_runs.inputs import write_inputs
from tests.old_runs.plans import KEPT, RUNS

HERE = Path(__file__).parent


def main() -> None:
    """Write inputs, runs and identities."""
    with tempfile.TemporaryDirectory() as name:
        inputs = Path(name, "inputs")
        write_inputs(inputs)
        shutil.make_archive(str(HERE / "inputs"), "zip", inputs)
        for title, text in RUNS.items():
            _run(title, text, inputs, Path(name, title))
        kept = {
            title: identities(text, inputs, Path(name, f"asked{number}"))
            for number, (title, text) in enumerate(KEPT.items())
        }
    (HERE / "identities.json").write_text(json.dumps(kept, indent=1) + "\n")


def _run(title: str, text: str, inputs: Path, run: Path) -> None:
    """Carry out a plan and pack its run folder, without the page, which any start writes again."""
    plan = inputs / f"{title}.toml"
    plan.write_text(text)
    status = audit(plan, run)
    assert status == 0, f"{title} ended with status {status}."
    for path in (run / "report.html", *run.glob(".*")):
        path.unlink()
    shutil.make_archive(str(HERE / f"run_{title}"), "zip", run)


if __name__ == "__main__":
    main()
