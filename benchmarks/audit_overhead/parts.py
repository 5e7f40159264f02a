"""The parts of an audit whose CPU time is counted, by the functions that do them."""

from __future__ import annotations

from typing import Any

from palpate.audit.engines import bench
from palpate.audit.run import after, attacks, journal, runner
from palpate.audit.run.after import After
from palpate.audit.subject import first_look
from palpate.audit.subject.subject import Subject
from palpate.audit.work import outcomes, shards, survival, verdicts
from palpate.audit.work.saving import Saver
from palpate.audit.work.survival import Survival
from palpate.postprocessing.codecs import Jpeg, Jpeg2000
from palpate.postprocessing.export import EightBit, Rewindowed, Rounded
from palpate.postprocessing.grids import Blurred, Resampled
from palpate.storage.runs import RunFolder

_STEPS = (Jpeg, Jpeg2000, EightBit, Rewindowed, Rounded, Blurred, Resampled)


def parts() -> dict[str, list[tuple[Any, str]]]:
    """Part -> where its functions are looked up."""
    return {
        "loading images, labels and model": [(runner, "load_subject")],
        "preflight": [(first_look, "preflight"), (first_look, "model_notes")],
        "layout": [(first_look, "choose")],
        "clean images: above chance, attackable": [(runner, "at_chance"), (attacks, "attackable")],
        "reading images": [(Subject, "images")],
        "attack": [(shards, "curve")],
        "survival, forward passes": [(verdicts.Verdicts, "of")],
        "survival, saving and reading": [(Saver, "saved"), (Saver, "read"), (survival, "as_stored")],
        "survival, codecs": [(step, "__call__") for step in _STEPS],
        "survival, SSIM and PSNR": [(survival, "ssim"), (survival, "psnr")],
        "survival, rest": [(Survival, "columns")],
        "measures": [(outcomes, "_columns")],
        "pictures and exports": [(bench, "draw"), (bench, "export"), (runner, "gallery"), (runner, "exported")],
        "storing": [(RunFolder, "commit"), (bench, "shard_bytes"), (journal.Journal, "save"), (after, "kept")],
        "probes": [(After, "_probe")],
        "traces": [(After, "_trace")],
    }
