from __future__ import annotations

import json

import pytest

from palpate.errors import StorageError
from palpate.report.model.description import read_description
from palpate.report.model.typed import visible
from palpate.storage.runs import RunFolder
from tests.report.world import Patients, describe


def write(path, **changes) -> RunFolder:
    run = RunFolder(path)
    stored = {**describe(Patients.make(10, 1, False), ""), "shards": [], "gallery": []}
    run.save_description({**stored, **changes})
    return run


def test_a_description_is_read_whole(tmp_path):
    actual = read_description(write(tmp_path))
    assert actual.task.directions and actual.data.extent == 255.0
    assert [attack.steps for attack in actual.attacks][:2] == [0, 1]


def test_what_json_does_not_know_becomes_null(tmp_path):
    gates = [{"text": "clean accuracy", "value": float("nan"), "passed": False}]
    actual = read_description(write(tmp_path, gates=gates, machine={"memory": float("inf")}))
    assert actual.gates[0].value is None and actual.machine == {"memory": None}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"task": {"kind": "ordinal", "head": "softmax", "classes": ["a", "b"], "disease": [2]}}, "disease [2]"),
        ({"task": {"kind": "binary", "head": "softmax", "classes": ["a"], "disease": []}}, "two classes or more"),
        (
            {
                "task": {
                    "kind": "multilabel",
                    "head": "",
                    "classes": list("abc"),
                    "operating": {"thresholds": [0.1, 0.2]},
                }
            },
            "2 thresholds for 3 findings",
        ),
        ({"task": {"kind": "regression", "head": "", "classes": ["a"]}}, "task.kind"),
        ({"status": "half"}, "status"),
        ({"seed": "seven"}, "seed"),
        ({"threat": {"norm": "linf", "words": ""}}, "threat.eps"),
        ({"attacks": [{"name": "pgd"}]}, "attacks.0.item"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(tmp_path, changes, place):
    with pytest.raises(StorageError) as caught:
        read_description(write(tmp_path, **changes))
    assert "run.json" in str(caught.value) and place in str(caught.value) and "Restore" in str(caught.value)


def test_bounds_must_rise_and_classes_agree(tmp_path):
    data = describe(Patients.make(10, 1, False), "")["data"]
    with pytest.raises(StorageError, match="rising"):
        read_description(write(tmp_path / "a", data={**data, "bounds": [255.0, 0.0]}))
    with pytest.raises(StorageError, match="4 numbers for 5 classes"):
        read_description(write(tmp_path / "b", data={**data, "per_class": [1, 2, 3, 4]}))


def test_a_picture_of_an_unknown_class_is_refused(tmp_path):
    picture = {
        "attack": "pgd", "eps": 1.0, "row": 3, "image": "x.png", "label": 9, "clean_prediction": 0, "prediction": 1,
        "clean": "a.png", "adversarial": "b.png", "perturbation": "c.png", "amplification": 8.0,
    }  # fmt: skip
    with pytest.raises(StorageError, match="row 3 names a class"):
        read_description(write(tmp_path, gallery=[picture]))


def test_a_picture_of_masks_needs_no_class_and_names_its_outlines(tmp_path):
    names = {kind: f"images/{kind}.png" for kind in ("clean", "adversarial", "perturbation")}
    mark = {"part": 0, "kind": "contour", "points": [[0.1, 0.2], [0.3, 0.4]], "score": None}
    plane = {"axis": 2, "index": 7, "count": 24, "changed": 9, "aspect": 1.5, **names, "marks": {"truth": [mark]}}
    picture = {
        "attack": "pgd", "eps": 1.0, "row": 3, "image": "x.nii.gz", "label": -1, "clean_prediction": -1,
        "prediction": -1, **names, "amplification": 8.0, "success": True, "measures": [float("nan"), 0.5],
        "slices": [plane],
    }  # fmt: skip
    task = {"kind": "segmentation", "head": "softmax", "classes": ["lung"], "score": "dice", "floor": 0.5}
    data = {**describe(Patients.make(10, 1, False), "")["data"], "per_class": [10], "shape": None, "spacing": []}
    actual = read_description(write(tmp_path, task=task, data=data, gallery=[picture]))
    (one,) = actual.gallery[0].slices
    assert (one.marks.truth[0].points[1], one.marks.clean) == ((0.3, 0.4), [])
    assert actual.gallery[0].measures == [None, 0.5] and not actual.task.classification and not actual.task.directions


def test_a_newer_writer_may_add_fields(tmp_path):
    run = write(tmp_path)
    stored = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**stored, "news": 1}))
    assert read_description(run).status == "finished"


def test_letters_that_act_are_replaced():
    assert visible("a\x1b[31mb\u202ec\nd") == "a\ufffd[31mb\ufffdc\nd"


def test_what_an_older_audit_did_not_say_has_its_default(tmp_path):
    actual = read_description(write(tmp_path))
    assert (actual.data.unit, actual.data.step, actual.data.window, actual.handlings, actual.exports) == (
        "",
        None,
        None,
        [],
        [],
    )
    assert not (actual.threat.lattice or actual.threat.region or actual.threat.amounts or actual.attacks[0].robust_to)


def test_names_may_be_one_text_a_list_or_have_numbers(tmp_path):
    data = describe(Patients.make(10, 1, False), "")["data"]
    given = {"sites": {"A": 3, "B": 7}, "scanners": None, "formats": "DICOM", "unit": None, "step": float("nan")}
    actual = read_description(write(tmp_path, data={**data, **given})).data
    assert (actual.sites, actual.scanners, actual.formats, actual.unit, actual.step) == (
        ["A", "B"],
        [],
        ["DICOM"],
        "",
        None,
    )


def test_a_window_of_no_width_and_a_step_of_none_are_no_scale(tmp_path):
    data = describe(Patients.make(10, 1, False), "")["data"]
    actual = read_description(write(tmp_path, data={**data, "window": [40.0, 40.0], "step": 0.0}))
    assert actual.data.scale.window is None and actual.data.scale.step is None
