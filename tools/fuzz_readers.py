"""Fuzz the readers and writers of every format: `python tools/fuzz_readers.py --seconds 3600 --out /tmp/fuzz`.

Needs atheris (`pip install atheris`), which is not a dependency of palpate. Starts from the small valid files that the
tests make, follows coverage through palpate, tifffile, nibabel, pydicom and pynrrd, and does with every input what an
audit does: say what it is, read it, write a copy, read that again. A damaged file may only cause an InputError.
Compressed files are changed inside their compression, and checksums of PNG are computed again, so that damage gets
past them.

In the folder `--out`: `log.txt` (one line per run of the fuzzer, and libFuzzer's own lines), `findings/` (one input and
one traceback for each kind of failure; `crash-*`, `timeout-*` and `oom-*` are inputs that ended the process) and
`corpus/`. It exits with 1 if there are findings. An input may take `--patience` seconds and the process
`--memory` MB.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import logging
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLLOWED = ["palpate", "tifffile", "nibabel", "pydicom", "nrrd", "PIL", "tests.data.exercise"]
LAZY = [
    "nibabel",
    "nrrd",
    "pydicom.pixels",
    "palpate.data.formats.dicom.writing",
    "PIL.PngImagePlugin",
    "PIL.JpegImagePlugin",
]
_PNG, _GZIP = b"\x89PNG\r\n\x1a\n", b"\x1f\x8b"


def main() -> int:
    """Start the fuzzer again and again, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3600)
    parser.add_argument("--out", type=Path, default=Path("fuzz"))
    parser.add_argument("--memory", type=int, default=3000, help="MB")
    parser.add_argument("--patience", type=int, default=20, help="seconds an input")
    given = parser.parse_args()
    out: Path = given.out.resolve()
    for name in ("corpus", "findings"):
        (out / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, str(ROOT))
        from tests.data.specimens import specimens

        for name, content in specimens(Path(folder)).items():
            (out / "corpus" / name).write_bytes(content)
    end = time.monotonic() + given.seconds
    with open(out / "log.txt", "a") as log:
        while (left := round(end - time.monotonic())) > 0:
            print(f"== {left} s left, {len(_findings(out))} findings", file=log, flush=True)
            options = (f"-max_total_time={left}", f"-rss_limit_mb={given.memory}", f"-timeout={given.patience}")
            command = [sys.executable, __file__, "--one-run", str(out), *options]
            subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
        print(f"== over, {len(_findings(out))} findings", file=log, flush=True)
    print("\n".join(_findings(out)) or "no findings")
    return 1 if _findings(out) else 0


def _findings(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "findings").iterdir() if path.suffix != ".bin")


def one_run(out: Path, options: list[str]) -> None:
    """Fuzz in this process until libFuzzer ends it."""
    import atheris

    sys.path.insert(0, str(ROOT))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=FOLLOWED):
        for name in LAZY:  # modules that the readers load at first use would not be followed
            import_module(name)
        from tests.data.exercise import exercise

    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    path, target = folder / "input", folder / "copy"

    def one_input(data: bytes) -> None:
        path.write_bytes(data)
        try:
            exercise(path, target)
        except Exception as error:  # every kind of failure once, and on to the next
            _keep(out / "findings", data, error)

    libfuzzer = (f"-artifact_prefix={out / 'findings'}{os.sep}", "-max_len=16384", "-print_final_stats=1")
    arguments = [sys.argv[0], str(out / "corpus"), *libfuzzer, *options]
    atheris.Setup(arguments, one_input, custom_mutator=lambda *about: _mutated(atheris.Mutate, *about))
    atheris.Fuzz()


def _keep(findings: Path, data: bytes, error: Exception) -> None:
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    name = hashlib.sha256(f"{type(error).__name__} {places[-3:]}".encode()).hexdigest()[:12]
    if not (findings / f"{name}.txt").exists():
        (findings / f"{name}.bin").write_bytes(data)
        (findings / f"{name}.txt").write_text("".join(traceback.format_exception(error)))


def _mutated(mutate: Any, data: bytes, longest: int, seed: int) -> bytes:
    draw = random.Random(seed)
    if data.startswith(_GZIP) and draw.random() < 0.9:
        try:
            inside = zlib.decompressobj(31).decompress(data, longest)
        except zlib.error:
            inside = b""
        return gzip.compress(bytes(mutate(inside or data, longest)), mtime=0)[:longest]
    changed = bytes(mutate(data, longest))
    return _mended(changed)[:longest] if changed.startswith(_PNG) and draw.random() < 0.9 else changed


def _mended(data: bytes) -> bytes:
    whole, place = bytearray(data), len(_PNG)
    while place + 12 <= len(whole):
        (length,) = struct.unpack_from(">I", whole, place)
        end = place + 8 + length
        if end + 4 > len(whole):
            break
        struct.pack_into(">I", whole, end, zlib.crc32(whole[place + 4 : end]))
        place = end + 4
    return bytes(whole)


if __name__ == "__main__":
    if "--one-run" in sys.argv:
        start = sys.argv.index("--one-run")
        one_run(Path(sys.argv[start + 1]), sys.argv[start + 2 :])
    else:
        sys.exit(main())
