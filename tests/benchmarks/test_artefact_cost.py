"""What the table of costs says; the table is `python -m benchmarks.artefact_cost`."""

from benchmarks.artefact_cost import Cost, cost, page, row

from palpate.artefacts.catalog import make


def test_a_row_says_what_is_too_much_and_what_does_not_exist():
    assert row("one", Cost(1.0, 30.0), None, 20.0) == "| one | 1.0 | 30.0 | 1.50 | - | - |"
    assert "2.50 (too much)" in row("one", Cost(1.0, 50.0), Cost(2.0, 3.0), 20.0)
    assert row("one", None, Cost(2.0, 3.0), 20.0).endswith("| - | - | - | 2.0 | 3.0 |")
    assert "| one |" in page(["| one |"], 20.0, 3)


def test_an_artefact_is_timed():
    found = cost(make("gamma"), (16, 16), 2, 1)
    assert found.once >= 0 and found.candidate > 0
