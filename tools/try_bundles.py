"""Try to build the network of every MONAI bundle in a folder, and say in one line what became of each.

    python tools/try_bundles.py FOLDER

Only the configurations are needed (FOLDER/NAME/configs/inference.json or .yaml), no weights. Nothing of them is run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from palpate.errors import InputError
from palpate.models.bundle import is_bundle, network_of
from palpate.models.bundles.transforms import bundle_transforms


def tried(folder: Path) -> Iterator[str]:
    """One line for each bundle in a folder."""
    for path in sorted(path for path in folder.iterdir() if is_bundle(path)):
        try:
            network = network_of(path)
            steps = ", ".join(one.kind for one in bundle_transforms(path))
            yield f"{path.name}: {type(network).__name__ if network else 'TorchScript'}; transforms: {steps or 'none'}"
        except InputError as error:
            yield f"{path.name}: refused: {str(error).removeprefix('model.bundle: ')}"


if __name__ == "__main__":
    for line in tried(Path(sys.argv[1])):
        print(line, flush=True)
