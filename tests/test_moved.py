"""Old names of modules still import."""

import importlib
import subprocess
import sys

import pytest
import torch

from palpate._moved import MOVED, RENAMED
from palpate.checks import ContractError, check_task
from palpate.checks.renamed import require_new_names
from palpate.contracts import Pieces


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_is_the_new_module(old: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{MOVED[old]}. The old name"):
        found = importlib.import_module(old)
    assert found is importlib.import_module(MOVED[old])
    assert found.__name__ == MOVED[old]
    assert found.__spec__ is not None and found.__spec__.name == MOVED[old]
    sys.modules.pop(old, None)


def test_a_plan_of_an_old_demo_finds_its_network_and_others_see_an_ordinary_error() -> None:
    code = (
        "from palpate.models.demo_thorax import load, SIZE; from palpate.models.demo import CLASSES, load\n"
        "try:\n    import palpate.nowhere\nexcept ModuleNotFoundError as error:\n    print(error, SIZE, len(CLASSES))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["No", "module", "named", "'palpate.nowhere'", "128", "5"]


@pytest.mark.parametrize(("module", "old"), [(module, old) for module, names in RENAMED.items() for old in names])
def test_an_old_name_is_the_new_part(module: str, old: str) -> None:
    home = importlib.import_module(module)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {RENAMED[module][old]}"):
        assert getattr(home, old) is getattr(home, RENAMED[module][old])
    assert not hasattr(home, "Nowhere")


def test_a_check_names_the_method_to_rename() -> None:
    class Mine:
        def disagreement(self) -> None: ...

    with pytest.raises(ContractError, match=r"Mine\.disagreement is now called consistency_loss"):
        require_new_names(Mine())
    with pytest.raises(ContractError, match=r"Mine\.disagreement is now called consistency_loss"):
        check_task(Mine(), None, None, None)  # type: ignore[arg-type]


def test_the_old_name_of_a_field_still_reads() -> None:
    pieces = Pieces(*(torch.full((1, 1), float(number)) for number in range(4)))
    with pytest.warns(DeprecationWarning, match="unbroken"):
        assert torch.equal(pieces.standing, pieces.unbroken)
