"""Two runs over the same images: every figure, who changed, what is refused and what is said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import palpate
from palpate.errors import InputError, StorageError
from palpate.report.compute.compare.comparison import compare_runs
from palpate.report.compute.compare.listing import _survival
from palpate.report.model.schema_compare import Comparison
from palpate.storage.certificates import CertificateRow
from palpate.storage.runs import CERTIFICATE_SCHEMA, RunFolder, _read
from tests.report.certificates import make_graded as make_certified
from tests.report.dense import make_dense
from tests.report.json_schema import fits
from tests.report.known import measure
from tests.report.pair import make_pair, other_model, relabelled, rewritten
from tests.report.world import EPS, PLAIN, make_run

SCHEMA = Path(__file__).resolve().parents[4] / "docs" / "reference" / "compare.schema.json"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def found(folders) -> Comparison:
    return compare_runs(folders)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The same pair without grades and disease, of which much less is compared."""
    return make_pair(tmp_path_factory.mktemp("plain"), task=PLAIN)


@pytest.fixture(scope="module")
def known(plain) -> Comparison:
    return compare_runs(plain)


@pytest.fixture
def copies(plain, tmp_path):
    return copied(plain, tmp_path)


def copied(folders, path):
    return [Path(shutil.copytree(one, path / one.name)) for one in folders]


def of(found, figure, eps=None, section="result", pair=0, **more):
    mine = [one for one in found.pairs[pair].changes if (one.section, one.figure, one.eps) == (section, figure, eps)]
    return next(one for one in mine if all(getattr(one, name) == value for name, value in more.items()))


def test_figures_are_those_of_both_reports_and_the_difference_is_the_later_minus_the_first(found, folders):
    one, two = (measure(RunFolder(folder)) for folder in folders)
    clean = of(found, "clean accuracy")
    assert (clean.first.value, clean.second.value) == (one.clean.attackable.value, two.clean.attackable.value)
    for place, eps in enumerate(EPS):
        robust = of(found, "robust accuracy", eps)
        values = [results.worst_case[0].points[place].figure.value for results in (one, two)]
        assert [robust.first.value, robust.second.value] == values
        assert robust.difference.value == pytest.approx(values[1] - values[0])
        assert robust.difference.low < robust.difference.value < robust.difference.high
    missed = of(found, "missed disease", 1.0, "clinical", under="any attack")
    at = EPS.index(1.0)
    assert missed.first.value == one.worst_directions[at].directions.missed_disease.value
    kappa = of(found, "kappa", 1.0, "grading", under="any attack")
    assert kappa.second.value == two.worst_grading[at].grading.quadratic_kappa.value
    pgd = of(found, "robust accuracy", 2.0, "attacks", under="pgd")
    assert pgd.first.value == one.attacks[1].points[EPS.index(2.0)].robust_accuracy.value


def test_holm_is_over_all_figures_of_a_section(found):
    mine = [one for one in found.pairs[0].changes if one.section == "result"]
    assert len(mine) == 1 + len(EPS)
    smallest = min(mine, key=lambda one: one.p)
    assert smallest.p_holm == pytest.approx(min(1.0, len(mine) * smallest.p))
    assert all(one.reading == "not established" for one in mine if one.p_holm >= 0.05)
    assert any(one.reading == "better" for one in mine if one.p_holm < 0.05)


def test_a_success_rate_that_falls_is_better(found):
    rates = [one for one in found.pairs[0].changes if one.section == "goals" and one.difference.value < 0]
    assert rates and {one.better for one in rates} == {"lower"}
    assert {one.reading for one in rates} <= {"better", "not established"}


def test_who_changed_adds_up_to_the_difference(found, folders):
    images = [RunFolder(folder).frame() for folder in folders]
    for switch in found.pairs[0].switches:
        change = of(found, switch.figure, switch.eps)
        assert len(switch.gained) - len(switch.lost) == pytest.approx(change.difference.value * found.images)
        assert (change.gained, change.lost) == (len(switch.gained), len(switch.lost))
        total = switch.both + switch.neither + len(switch.gained) + len(switch.lost)
        assert total == found.images and switch.p == change.p
    clean = found.pairs[0].switches[0]
    right = [dict(zip(frame["row"].tolist(), frame["clean_right"].tolist(), strict=True)) for frame in images]
    assert {one.row for one in clean.lost} == {row for row in right[0] if right[0][row] and not right[1][row]}
    assert all(one.image is None for switch in found.pairs[0].switches for one in [*switch.gained, *switch.lost])


def test_names_of_images_only_if_asked(plain, known):
    text = known.model_dump_json()
    assert "eye_" not in text and "eye_" in compare_runs(plain, names=True).model_dump_json()


def test_the_json_fits_its_schema_and_can_be_read_again(found):
    stored = json.loads(SCHEMA.read_text())
    data = found.model_dump(mode="json")
    assert fits(json.loads(json.dumps(data, allow_nan=False)), stored, stored) == []
    assert Comparison.model_validate(data).model_dump(mode="json") == data


def test_three_runs_are_compared_with_the_first_and_adjusted_together(plain, tmp_path):
    with other_model(4.0):
        third = make_run(tmp_path / "third", attacks=("fgsm", "pgd", "hide"), per_group=2, pictures=0, task=PLAIN)
    both = compare_runs([*plain, relabelled(third).path])
    assert [(pair.first, pair.second) for pair in both.pairs] == [("A", "B"), ("A", "C")]
    robust = [of(both, "robust accuracy", 1.0, pair=place) for place in (0, 1)]
    assert robust[1].difference.value > robust[0].difference.value and robust[0].first == robust[1].first
    ps = [one.p for pair in both.pairs for one in pair.changes if one.section == "result"]
    smallest = min((one for pair in both.pairs for one in pair.changes if one.section == "result"), key=lambda o: o.p)
    assert smallest.p_holm == pytest.approx(min(1.0, len(ps) * smallest.p))


@pytest.mark.parametrize("kind", ["segmentation", "detection", "multilabel"])
def test_every_task_is_compared(kind, tmp_path):
    first = make_dense(tmp_path / "a", kind, pictures=0)
    second = relabelled(make_dense(tmp_path / "b", kind, pictures=0))

    def worse(record):
        return replace(record, score=record.score / 2, success=record.eligible, found=record.clean_found)

    rewritten(second, "pgd", worse)
    found = compare_runs([first.path, second.path])
    parts = {one.section for one in found.pairs[0].changes}
    assert {"result", "parts", "attacks"} <= parts and ("sizes" in parts) == (kind == "detection")
    assert of(found, "robust accuracy", 1.0).difference.value < 0
    assert "acceptable result" in found.pairs[0].sentence


def test_certificates_of_the_smoothed_models_are_compared_at_each_radius(tmp_path):
    first = make_certified(tmp_path / "a", sigmas=(5.0, 10.0))
    second = relabelled(make_certified(tmp_path / "b", sigmas=(10.0,)))
    for name in second.describe()["certificates"]["shards"]:
        rows = _read(second.certificates(name), CERTIFICATE_SCHEMA, "").to_pylist()
        lists = ({key: tuple(v) if isinstance(v, list) else v for key, v in row.items()} for row in rows)
        second.write_certificates(name, [replace(CertificateRow(**one), least_acceptable=False) for one in lists])
    found = compare_runs([first, second])
    mine = [one for one in found.pairs[0].changes if one.section == "certificates"]
    assert {one.under for one in mine} == {"smoothing with sigma 10"} and "made in another way" in warned(
        found, "certificates"
    )
    certified = next(one for one in mine if (one.figure, one.how) == ("certified accuracy", "L2 radius 5"))
    assert certified.second.value == 0 < certified.first.value and certified.first.total == certified.second.total > 0
    assert certified.difference.value == -certified.first.value and certified.difference.high < 0


# -- refusals ------------------------------------------------------------------------------------------------------


def refused(folders, *words, **how):
    with pytest.raises((InputError, StorageError)) as caught:
        compare_runs(folders, **how)
    text = str(caught.value)
    assert all(word in text for word in words), text
    return text


def test_one_run_or_the_same_twice_is_refused(folders):
    refused(folders[:1], "two run folders")
    refused([folders[0], folders[0]], "given twice")
    refused([folders[0], folders[0] / ".." / folders[0].name], "given twice")


def test_an_unfinished_run_is_refused(copies):
    relabelled(RunFolder(copies[1]), status="unfinished")
    refused(copies, "new is unfinished", "palpate audit")


def test_a_run_that_lost_a_shard_is_refused(copies):
    RunFolder(copies[1]).shard("pgd").unlink()
    refused(copies, "new is unfinished")


def test_a_folder_without_a_run_is_refused(folders, tmp_path):
    refused([folders[0], tmp_path], "is not a run folder")
    refused([folders[0], tmp_path / "none"], "none does not exist")
    (tmp_path / "harden.json").write_text("{}")
    refused([folders[0], tmp_path], "the folder of a training, not a run folder", str(tmp_path / "after"))


def test_another_task_is_refused_in_its_own_words(folders, tmp_path):
    copies = copied(folders, tmp_path)
    relabelled(RunFolder(copies[1]), task={"disease": [1, 2, 3, 4]})
    refused(copies, "classes that count as disease", "mild, moderate")
    relabelled(RunFolder(copies[1]), task={"kind": "multiclass", "disease": [2, 3, 4]})
    refused(copies, "the kind of task", "ordinal in A and multiclass in B")


def test_other_images_are_refused_and_it_says_how_they_differ(copies):
    second = relabelled(RunFolder(copies[1]), data={"fingerprint": "other"})
    refused(copies, "same image names and labels, but the files")
    rewritten_all(second, lambda record: replace(record, label=(record.label + (record.row == 3)) % 5))
    refused(copies, "labels of 1 images differ")
    rewritten_all(second, lambda record: replace(record, image=f"x{record.image}" if record.row < 2 else record.image))
    text = refused(copies, "60 in A and 60 in B, of which 58 have the same name", "--match-names")
    assert "eye_" not in text


def rewritten_all(run, change):
    for shard in run.describe()["shards"]:
        rewritten(run, shard, change)


def test_rows_in_another_order_are_matched_by_name(copies, known):
    second = relabelled(RunFolder(copies[1]), data={"fingerprint": "other"})
    rewritten_all(second, lambda record: replace(record, row=59 - record.row))
    refused(copies, "in another order")
    again = compare_runs(copies, match_names=True)
    assert of(again, "robust accuracy", 1.0).difference == of(known, "robust accuracy", 1.0).difference
    assert [one.subject for one in again.warnings if one.level == "warning"] == ["images"]
    lost = again.pairs[0].switches[0].lost
    assert lost and all(one.row + one.second_row == 59 for one in lost)


def test_images_that_only_one_run_has_are_left_out_if_names_are_matched(copies):
    second = relabelled(RunFolder(copies[1]), data={"fingerprint": "other"})
    rewritten_all(second, lambda record: replace(record, image=f"x{record.image}" if record.row < 10 else record.image))
    again = compare_runs(copies, match_names=True)
    assert again.images == 50 and "50 that all runs have are compared, 10 are left out" in again.warnings[0].text


def test_labels_that_differ_under_one_name_are_refused(copies):
    second = relabelled(RunFolder(copies[1]), data={"fingerprint": "other"})
    rewritten_all(second, lambda record: replace(record, label=(record.label + (record.row == 3)) % 5))
    refused(copies, "the label differs for 1 image of", "row 3 of A", match_names=True)


# -- warnings ------------------------------------------------------------------------------------------------------


def warned(found, subject):
    return " ".join(one.text for one in found.warnings if one.subject == subject)


def test_an_attack_with_other_settings_is_left_out_of_the_worst_case_of_both(copies, plain):
    stored = RunFolder(copies[1]).describe()
    stored["attacks"][1]["parameters"]["steps"] = 40
    relabelled(RunFolder(copies[1]), attacks=stored["attacks"])
    found = compare_runs(copies)
    assert "'pgd' is not compared: its settings differ, steps is 20 and 40" in warned(found, "attacks")
    assert found.attacks == ["fgsm", "hide"]
    alone = measure(RunFolder(plain[0])).attacks[0].points[2]
    assert of(found, "robust accuracy", 1.0).first.value == alone.robust_accuracy.value


def test_an_attack_of_another_name_with_the_same_settings_is_the_same_attack(copies, known):
    second = RunFolder(copies[1])
    stored = second.describe()
    stored["attacks"][1]["name"] = "climb"
    relabelled(second, attacks=stored["attacks"])
    rewritten(second, "pgd", lambda record: replace(record, attack="climb"))
    again = compare_runs(copies)
    assert again.attacks == known.attacks and not warned(again, "attacks")
    assert of(again, "robust accuracy", 1.0).difference == of(known, "robust accuracy", 1.0).difference


def test_only_budgets_that_both_have_are_compared(copies):
    second = RunFolder(copies[1])
    stored = second.describe()
    attacks = [{**one, "eps": [1.0, 2.0, 8.0]} for one in stored["attacks"]]
    relabelled(second, attacks=attacks, threat={"eps": [1.0, 2.0, 8.0]})
    swap = {0.25: 8.0, 0.5: 9.0, 4.0: 10.0}
    rewritten_all(second, lambda record: replace(record, eps=swap.get(record.eps, record.eps)))
    found = compare_runs(copies)
    assert found.eps == [1.0, 2.0]
    assert "0.25, 0.5 and 4." in warned(found, "budgets") and "8." in warned(found, "budgets")


def test_under_another_threat_only_clean_figures_are_compared(copies):
    relabelled(RunFolder(copies[1]), threat={"lattice": True})
    found = compare_runs(copies)
    assert "(lattice) is no in A and yes in B" in warned(found, "threat")
    assert found.eps == [] and {one.under for one in found.pairs[0].changes} == {"clean"}
    assert found.pairs[0].sentence.startswith("Without an attack")


def test_seed_versions_device_and_weights_are_named(copies):
    stored = RunFolder(copies[1]).describe()
    second = relabelled(RunFolder(copies[1]), seed=8, palpate="0.0.9", machine={"device": "cuda"})
    found = compare_runs(copies)
    assert "The seed is 7 in A and 8 in B" in warned(found, "seed")
    assert "0.1.0 in A and 0.0.9 in B" in warned(found, "versions") and "cuda in B" in warned(found, "device")
    stored["model"]["sha256"] = RunFolder(copies[0]).describe()["model"]["sha256"]
    second.save_description(stored)
    assert "the same weights" in warned(compare_runs(copies), "model")


def test_a_changed_run_json_is_named(copies):
    path = copies[1] / "run.json"
    path.write_text(path.read_text().replace('"seed": 7', '"seed": 9'))
    assert "was changed after palpate wrote it" in warned(compare_runs(copies), "run.json")


def test_the_budget_of_the_sentence_can_be_chosen(plain):
    assert "at eps 2" in compare_runs(plain, eps=2.0).pairs[0].sentence
    assert "at eps 2" in compare_runs(plain, eps="2").pairs[0].sentence
    refused(plain, "eps: 3 is not a budget", "1 (= 1/255), 2 (= 2/255)", eps=3)


def test_images_as_patients_widen_the_interval(tmp_path):
    single = compare_runs(make_pair(tmp_path / "single", per_group=1, task=PLAIN))
    grouped = compare_runs(make_pair(tmp_path / "grouped", per_group=6, task=PLAIN))
    widths = [
        np.mean([one.difference.high - one.difference.low for one in found.pairs[0].changes if one.section == "result"])
        for found in (single, grouped)
    ]
    assert widths[1] > widths[0] and grouped.intervals.groups == 10


def test_python_gives_changes_a_table_and_files(plain, tmp_path):
    found = palpate.compare(*plain, gates=["robust accuracy at eps 1: not worse"])
    assert found.passed and found.changes[0].figure == "clean accuracy"
    assert "robust accuracy" in found.table() and str(found) == found.table()
    page = found.write(tmp_path / "out")
    assert page.name == "compare.html" and json.loads((tmp_path / "out" / "compare.json").read_text())["pairs"]
    assert found.place == plain[1].parent / "compare-old-new"


def test_a_share_of_the_beaten_images_is_never_better_or_worse():
    """The beaten images of two models are different ones."""
    cell = SimpleNamespace(handling="jpeg75", after="after", survived="survived")
    point = SimpleNamespace(eps=1.0, cells=[cell])
    attacks = [SimpleNamespace(attack=name, goal="untargeted", points=[point]) for name in ("", "pgd")]
    rows = list(_survival(SimpleNamespace(survival=SimpleNamespace(attacks=attacks))))
    assert {(place.figure, one.better) for place, one in rows} == {("success after", "lower"), ("survived", "")}
