"""The planted mutants fit the code: each edits one place. That they are killed is `make mutants`."""

import pytest

from tests.mutants import ROOT, Mutant, chosen, main, mutants, places

CHECKS = "".join(file.read_text() for file in (ROOT / "src" / "palpate" / "checks").rglob("*.py"))


@pytest.mark.parametrize("mutant", mutants(), ids=lambda mutant: mutant.mistake)
def test_each_mutant_has_one_place(mutant: Mutant) -> None:
    assert places(mutant) == 1 and mutant.right != mutant.wrong


def test_the_tests_that_have_to_notice_exist() -> None:
    for tests in sorted({mutant.tests for mutant in mutants()}):
        paths, _, word = tests.partition(" -k ")
        assert all((ROOT / path).exists() for path in paths.split()), tests
        # Tests of contracts have the names of the contracts as parameters.
        assert not word or any(word in (ROOT / path).read_text() for path in paths.split()) or word in CHECKS, tests


def test_some_mutants_are_chosen_by_a_part_of_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    listed = mutants()
    assert chosen([]) == listed and chosen([listed[3].mistake.upper()]) == [listed[3]]
    with pytest.raises(SystemExit, match="in the name of no mutant"):
        chosen(["no such mistake"])
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0 and "names of mutants" in capsys.readouterr().out
