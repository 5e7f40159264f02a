import pytest

from palpate.report.compute.lessons import lessons
from tests.report.dense import make_dense
from tests.report.known import measure
from tests.report.world import make_run


def made(run):
    results = measure(run).model_dump(mode="json")
    return results, lessons(results)


def test_of_classes_it_says_what_fell_what_noise_does_and_in_which_direction(tmp_path):
    results, said = made(make_run(tmp_path / "run", pictures=0))
    assert said[0] == results["verdict"]["sentence"]
    assert said[1].startswith("Random changes of the same size leave ") and "images correct" in said[1]
    assert said[2:] == results["verdict"]["details"][1:2] and "disease images" in said[2]


def test_without_a_figure_there_is_the_verdict_alone(empty):
    results, said = made(empty)
    assert said == [results["verdict"]["sentence"]]


@pytest.mark.parametrize("kind", ["segmentation", "detection"])
def test_of_masks_and_boxes_it_says_what_fell_and_what_stays_acceptable(kind, tmp_path):
    results, said = made(make_dense(tmp_path / "run", kind, pictures=0))
    assert said[:2] == [results["verdict"]["sentence"], results["verdict"]["details"][0]]
    assert "images acceptable" in said[2] and len(said) == 3


def test_a_goal_is_counted_in_images_at_the_largest_budget(tmp_path):
    results, _ = made(make_dense(tmp_path / "run", "segmentation", pictures=0))
    attack = next(one for one in results["attacks"] if one["catalog"] != "noise")
    attack["goal"] = "erase: lesion"
    last = attack["points"][-1]
    share = last["success_rate"]
    assert lessons(results)[-1] == (
        f"The goal “erase: lesion” is reached at eps {last['eps']:g} on {share['count']} of {share['total']} images."
    )
