"""Gates on differences: their grammar, their errors, and what passes by the estimate and by the interval."""

import pytest

from palpate.errors import InputError
from palpate.report.compute.compare.gates import Gate, judge_gates, parse_gate, read_gates
from palpate.report.model.schema_compare import Change, Delta, Pair
from palpate.report.model.typed import Figure
from palpate.units import Scale

SCALE = Scale((0.0, 255.0), "", 1.0, known=True)


def change(value, low, high, figure="robust accuracy", eps=2.0, **more):
    nothing = Figure(value=0.5, low=None, high=None, method="none")
    fields = {
        "section": "result", "part": "", "by": "", "under": "any attack" if eps is not None else "clean",
        "goal": "", "how": "", "better": "higher", "kind": "share", "unit": "", **more,
    }  # fmt: skip
    return Change(
        **fields, figure=figure, eps=eps, first=nothing, second=nothing, p=0.5, p_holm=0.5, test="", left_out=0,
        difference=Delta(value=value, low=low, high=high, method="Tango"), gained=0, lost=0, reading="not established",
    )  # fmt: skip


CHANGES = [
    change(0.01, -0.02, 0.04, "clean accuracy", None),
    change(-0.005, -0.03, 0.02),
    change(-0.02, -0.05, 0.01, eps=4.0),
    change(-0.2, -0.3, -0.1, section="classes", part="mild", by="class"),
    change(0.1, 0.02, 0.2, section="classes", part="severe", by="class"),
    change(-0.3, -0.4, -0.2, section="attacks", under="pgd"),
    change(0.4, 0.1, 0.7, "hd95", part="lesion", by="structure", better="lower", kind="number", unit="mm"),
    change(-0.03, -0.05, -0.01, "dice", part="lesion", by="structure", kind="fraction"),
    change(-0.01, -0.02, 0.0, "dice", None, part="lesion", by="structure", kind="fraction"),
    change(0.02, -0.01, 0.05, "missed disease", better="lower"),
    change(1.0, 0.5, 2.0, "volume", part="lesion", better="", kind="number", unit="ml"),
]
PAIRS = [Pair(first="A", second="B", sentence="", details=[], changes=CHANGES, switches=[])]


def judged(text, by="estimate"):
    (found,) = judge_gates([parse_gate(text)], PAIRS, SCALE, by)
    return found


@pytest.mark.parametrize(
    ("text", "passed", "figure"),
    [
        ("clean accuracy: at most 1 point worse", True, "clean accuracy"),
        ("clean accuracy: not worse", True, "clean accuracy"),
        ("clean accuracy: at least 1 point better", True, "clean accuracy"),
        ("clean accuracy: at least 1.5 points better", False, "clean accuracy"),
        ("robust accuracy at eps 2: at most 1 point worse", True, "robust accuracy under any attack at eps 2"),
        ("robust accuracy: at most 1 point worse", False, "robust accuracy under any attack at eps 4"),
        ("robust accuracy at eps 2/255: at most 0.4 points worse", False, "robust accuracy under any attack at eps 2"),
        ("robust accuracy under pgd: at most 10 points worse", False, "robust accuracy under pgd at eps 2"),
        ("robust accuracy of severe: not worse", True, "robust accuracy of severe under any attack at eps 2"),
        ("robust accuracy of each class: not worse", False, "robust accuracy of mild under any attack at eps 2"),
        ("hd95 of lesion: at most 0.5 mm worse", True, "hd95 of lesion under any attack at eps 2"),
        ("hd95 of lesion: at most 0.3 worse", False, "hd95 of lesion under any attack at eps 2"),
        ("dice of 'lesion': at most 0.03 worse", True, "dice of lesion under any attack at eps 2"),
        ("dice of lesion: at most 2 points worse", False, "dice of lesion under any attack at eps 2"),
        ("clean dice of lesion: at most 0.02 worse", True, "dice of lesion without an attack"),
        ("missed disease: at most 1 point worse", False, "missed disease under any attack at eps 2"),
    ],
)
def test_a_gate_finds_its_figure_and_the_estimate_decides(text, passed, figure):
    found = judged(text)
    assert (found.passed, found.figure, found.by) == (passed, figure, "estimate")


def test_by_interval_its_worse_end_must_be_within_the_limit():
    assert not judged("clean accuracy: at most 1 point worse", "interval").passed
    assert judged("clean accuracy: at most 2 points worse", "interval").passed
    assert not judged("missed disease: at most 4 points worse", "interval").passed
    assert judged("missed disease: at most 5 points worse, by interval").passed
    assert judged("robust accuracy of severe: at least 2 points better, by interval").passed
    assert not judged("robust accuracy of severe: at least 3 points better, by interval").passed
    assert judged("clean accuracy: at most 1 point worse, by estimate", "interval").by == "estimate"


def test_it_says_what_the_interval_says():
    assert judged("clean accuracy: at most 2 points worse").note == "The whole 95% interval is within the limit too."
    assert "not shown" in judged("clean accuracy: at most 1 point worse").note
    assert "also holds values within" in judged("robust accuracy at eps 4: at most 1 point worse").note
    assert (
        judged("robust accuracy under pgd: at most 1 point worse").note
        == "The whole 95% interval is beyond the limit too."
    )


def test_an_undefined_figure_does_not_pass():
    pair = PAIRS[0].model_copy(update={"changes": [change(None, None, None)]})
    (found,) = judge_gates([parse_gate("robust accuracy: at most 99 points worse")], [pair], SCALE)
    assert not found.passed and "not defined" in found.note


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("robust accuracy", "a colon and a limit"),
        ("robust accuracy: at most worse", "a colon and a limit"),
        ("robust accuracy: at most 1 point better", "a colon and a limit"),
        ("robust accuracy: at most 1 point worse, by luck", "estimate or interval"),
        ("robust acuracy: not worse", "Did you mean 'robust accuracy'?"),
        ("robust accuracy of sever: not worse", "Did you mean 'severe'?"),
        ("robust accuracy of each site: not worse", "Known are: class"),
        ("robust accuracy under pdg: not worse", "Did you mean 'pgd'?"),
        ("robust accuracy at eps 3: not worse", "Known are: 2 (= 2/255), 4 (= 4/255)."),
        ("clean acuracy: not worse", "'clean acuracy' was not compared. Did you mean 'clean accuracy'?"),
        ("robust accuracy: at most 1 pont worse", "'pont' is not a unit of it. Write the limit in points"),
        ("robust accuracy at eps much: not worse", "is not a budget"),
        ("robust accuracy: at most 0.01 worse", "in points"),
        ("hd95 of lesion: at most 1 point worse", "in mm"),
        ("hd95 of lesion: at most 1 cm worse", "in mm, not in cm"),
        ("volume of lesion: not worse", "neither better when higher"),
    ],
)
def test_a_gate_that_cannot_be_used_says_why(text, word):
    with pytest.raises(InputError) as caught:
        judged(text)
    assert word in str(caught.value) and text in str(caught.value)


def test_a_file_has_gates_in_words_or_in_parts(tmp_path):
    path = tmp_path / "gates.toml"
    path.write_text(
        '[[gates]]\ngate = "clean accuracy: at most 1 point worse"\n'
        '[[gates]]\nfigure = "robust accuracy"\nof = "each class"\neps = "2/255"\nat_most_worse = "25 points"\n'
        'by = "interval"\n[[gates]]\nfigure = "hd95"\nof = "lesion"\nat_most_worse = 0.5\n'
    )
    first, second, third = read_gates(path)
    assert first == parse_gate("clean accuracy: at most 1 point worse")
    assert second == Gate(
        "robust accuracy of each class at eps 2/255: at most 25 points worse", "robust accuracy", "each class",
        eps="2/255", limit=25.0, unit="point", by="interval",
    )  # fmt: skip
    assert [one.passed for one in judge_gates([first, second, third], PAIRS, SCALE)] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("gates = 1", "must hold [[gates]]"),
        ("[[gate]]\nfigure = 'x'", "must hold [[gates]]"),
        ("[[gates]]\nfigure = 'dice'", "one of at_most_worse and at_least_better"),
        ("[[gates]]\nfigure = 'dice'\nat_most = 1", "Did you mean 'at_most_worse'?"),
        ("[[gates]]\ngate = 'dice: not worse'\neps = 1", "leave out eps"),
        ("[[gates]]\ngate = 'dice'", "gate 1: gate 'dice'"),
        ("[[gates]]\nfigure = 'dice'\nat_most_worse = 'a bit'", "a number of 0 or more"),
        ("[[gates]]\nfigure = ['dice']\nat_most_worse = 1", "must be a text or a number"),
        ("[[gates", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path, text, word):
    path = tmp_path / "gates.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_gates(path)
    assert word in str(caught.value) and str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_gates(tmp_path / "none.toml")
