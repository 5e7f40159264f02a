"""`[[model.defences]]`: what a plan may say, and what it is told otherwise."""

import pytest

from palpate.audit.plan.defences import defences_of
from palpate.audit.plan.identity import encode
from palpate.audit.plan.items import items
from palpate.audit.plan.plan import Plan, parse_plan
from palpate.defences import Ensemble, Filter, Reject, Smoothing
from palpate.defences.makers import LoadedNetwork
from palpate.errors import InputError, PlanError
from palpate.tasks.screening import ScreenedClassification
from tests.audit import tiny

MASKS = """
[task]
kind = "segmentation"
structures = ["lung"]
"""
BOXES = """
[task]
kind = "detection"
classes = ["polyp"]
"""


def plan(tmp_path, *tables: str, task: str | None = None) -> Plan:
    text = tiny.PLAN.replace("[data]\n", "\n".join(f"[[model.defences]]\n{one}\n" for one in tables) + "\n[data]\n", 1)
    if task is not None:
        begin, end = text.index("[task]"), text.index("[threat]")
        text = text[:begin] + task.strip() + "\n\n" + text[end:]
        column = 'mask = "mask"' if "segmentation" in task else 'boxes = "boxes.csv"'
        text = text.replace('group = "patient"', f'group = "patient"\n{column}')
        text = text[: text.index("[[attacks]]")] + '[[attacks]]\nattack = "noise"\n' + text[text.index("[run]") :]
    return parse_plan(text, tmp_path / "plan.toml")


def test_widths_are_in_the_units_of_the_images_and_heads_are_those_of_the_task(tmp_path):
    found = defences_of(plan(tmp_path, 'defence = "jpeg"\nquality = 60', 'defence = "smoothing"\nsigma = "10%"'))
    assert isinstance(found[0], Filter) and found[0].step.quality == 60
    assert isinstance(found[1], Smoothing) and found[1].sigma == pytest.approx(25.5)
    assert found[1].head is not None and found[1].head.kind == "softmax"


def test_a_plan_without_defences_has_none_and_keeps_its_task(tmp_path):
    bare = plan(tmp_path)
    assert defences_of(bare) == () and not isinstance(items(bare)[0].task, ScreenedClassification)


def test_a_detector_changes_what_beaten_means(tmp_path):
    chosen = plan(tmp_path, 'defence = "reject"\nfilters = ["median"]\nfalse_alarms = 0.1')
    (detector,) = defences_of(chosen)
    assert isinstance(detector, Reject) and detector.threshold is None and len(detector.filters) == 1
    task = items(chosen)[0].task
    assert isinstance(task, ScreenedClassification) and items(chosen)[0].identity != items(plan(tmp_path))[0].identity


def test_networks_are_loaded_as_the_plan_says_and_their_hashes_are_part_of_the_identity(tmp_path):
    chosen = plan(tmp_path, 'defence = "ensemble"\nmembers = [{factory = "model.py:build", weights = "b.safetensors"}]')
    asked = []

    def load(source, digest):
        asked.append((source.factory, source.weights))
        return LoadedNetwork(defences_of(chosen)[0].members[0], digest)

    first, second = (defences_of(chosen, lambda source, one=one: load(source, one))[0] for one in "ab")
    assert isinstance(first, Ensemble) and asked == [("model.py:build", "b.safetensors")] * 2
    assert encode(first) != encode(second)


@pytest.mark.parametrize(
    ("tables", "task", "text"),
    [
        (['defence = "jpg"'], None, r"There is no defence 'jpg'. Did you mean 'jpeg'\?"),
        (['defence = "jpeg"\nqualty = 3'], None, r"no such parameter. Did you mean 'quality'\?"),
        (['defence = "jpeg"\nquality = "high"'], None, "'high' must be a whole number"),
        (['defence = "jpeg"\nquality = 0'], None, "must be a whole number from 1 to 100"),
        (['defence = "smoothing"\nsigma = "lots"'], None, "is not a budget"),
        (['defence = "smoothing"\nvotes = 0'], None, "must be at least 1"),
        (['defence = "denoise"'], None, "defence 'denoise' has no default for it"),
        (['defence = "ensemble"\nmembers = []'], None, "give at least one other model"),
        (['defence = "ensemble"\nmembers = [{factry = "a.py:b"}]'], None, "has the field 'factry'"),
        (['defence = "ensemble"\nmembers = [{timm = "resnet18"}]'], None, "without weights the network is not trained"),
        (['defence = "reject"\nfilters = ["blurr"]'], None, r"Did you mean 'blur'\?"),
        (['defence = "jpeg"', 'defence = "reject"'], None, r"must be the first of \[\[model.defences\]\]"),
        (['defence = "smoothing"'], BOXES, "cannot surround detection: it averages outputs"),
        (['defence = "resize-pad"'], MASKS, "cannot surround segmentation: it moves what masks and boxes mark"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(tmp_path, tables, task, text):
    with pytest.raises(PlanError, match=text) as caught:
        plan(tmp_path, *tables, task=task)
    assert "defences" in str(caught.value)


def test_jpeg_stands_before_a_detector_of_boxes(tmp_path):
    assert len(defences_of(plan(tmp_path, 'defence = "jpeg"', 'defence = "median"', task=BOXES))) == 2


def test_a_network_that_cannot_be_loaded_is_named_with_its_place(tmp_path):
    def load(source):
        raise InputError("model.factory: cleaner.py does not exist.")

    chosen = plan(tmp_path, 'defence = "denoise"\nfactory = "cleaner.py:build"')
    with pytest.raises(InputError, match=r"model\.defences\[0\] \(denoise\): model\.factory: cleaner\.py does not"):
        defences_of(chosen, load)
