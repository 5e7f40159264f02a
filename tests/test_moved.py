"""Old names of modules still import."""

import importlib
import subprocess
import sys

import pytest

from palpate._moved import MOVED


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
