"""The planted mutants fit the code: each edits one place. That they are killed is `make mutants`."""

import pytest

from tests.mutants import Mutant, mutants, places


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.mistake)
def test_each_mutant_has_one_place(mutant: Mutant) -> None:
    assert places(mutant) == 1 and mutant.right != mutant.wrong
