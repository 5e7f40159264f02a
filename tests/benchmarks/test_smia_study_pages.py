"""The pages of the study say what its figures say, and the figures what its cells hold."""

import copy
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from palpate.metrics import intervals
from tests.benchmarks import smia_study_cache

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "smia_study.json"


@pytest.fixture(scope="module", autouse=True)
def _root_importable():
    # `benchmarks` lies beside `tests` and is not installed.
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield


def study(name):
    return importlib.import_module(f"benchmarks.smia_study.{name}")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return smia_study_cache.make(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def figures(cache):
    with pytest.MonkeyPatch.context() as patch:
        # Fewer resamples: the tests ask what is resampled, not how finely.
        patch.setattr(intervals.Resampling.__init__, "__defaults__", (0, 60))
        return json.loads(study("figures").dumped(study("figures").collect(cache)))


def series(cache, attack, mode="steps", benchmark="fundus_dr"):
    gather = study("gather")
    found = next(one for one in gather.settings(gather.finished_cells(cache)) if one.benchmark == benchmark)
    return found.series[attack, mode]


def test_success_is_that_of_the_cells(cache, figures):
    one = series(cache, "pgd")
    own = figures["settings"]["fundus_dr@0.5"]["attacks"]["pgd"]["both"]
    rows = [cell.columns for cell in one.seeds]
    expected = np.mean([row["success"][row["eligible"]].mean() for row in rows])
    assert own["success"]["before"][0] == pytest.approx(expected, abs=1e-4)
    after = np.mean([(row["handled_margin_blur1"][row["eligible"]] <= 0).mean() for row in rows])
    assert own["success"]["blur1"][0] == pytest.approx(after, abs=1e-4)
    assert own["seeds"] == 3


def test_transfer_counts_images_that_both_networks_have_right(cache, figures):
    row = series(cache, "steadfast", "passes").seeds[0].columns
    right = row["eligible"] & (row["transfer_clean_margin"] > 0)
    own = figures["settings"]["fundus_dr@0.5"]["attacks"]["steadfast"]["passes"]["success"]["transfer"]
    assert right.sum() < row["eligible"].sum()
    assert own[0] == pytest.approx((row["transfer_margin"][right] <= 0).mean(), abs=1e-4)


def test_seeds_of_an_image_are_resampled_together(cache):
    one = series(cache, "pgd", benchmark="covid_ct")
    assert one.resampling.group.size == 3 * one.images
    assert one.resampling.groups == one.over_images.groups == one.images // 2
    assert np.array_equal(one.resampling.group[: one.images], one.resampling.group[one.images : 2 * one.images])


def test_rows_of_the_same_computation_are_read_once_and_named_so(figures):
    attacks = figures["settings"]["covid_ct@4"]["attacks"]
    assert list(attacks["bim"]) == ["both"] and list(attacks["smia"]) == ["steps", "passes"]


def test_a_cell_without_its_rows_is_refused(tmp_path):
    root = smia_study_cache.make(tmp_path, benchmarks=("fundus_dr",), trace=False)
    (root / "rows" / "fundus_dr" / "bim_eps0.5_steps_seed0.parquet").unlink()
    with pytest.raises(study("figures").StorageError, match=r"bim_eps0\.5_steps_seed0\.parquet' is missing"):
        study("figures").collect(root)


def test_a_cache_that_names_worlds_is_read_too(tmp_path):
    root, former = smia_study_cache.make(tmp_path / "now"), tmp_path / "former"
    shutil.copytree(root, former)
    for path in former.rglob("*.json"):
        path.write_text(path.read_text().replace('"benchmark":', '"world":').replace('"benchmarks":', '"worlds":'))
    assert '"world":' in next(former.glob("rows/*/*.json")).read_text()
    dumped, collect = (getattr(study("figures"), name) for name in ("dumped", "collect"))
    assert dumped(collect(former)) == dumped(collect(root))


def test_an_empty_cache_says_what_to_run(tmp_path):
    with pytest.raises(study("figures").StorageError, match="no finished cell"):
        study("figures").collect(tmp_path)


def test_intervals_that_touch_are_not_apart():
    apart, one = study("comparisons").apart, lambda low, high: intervals.Estimate(0.5, low, high, "Wilson")
    assert apart(one(0.6, 0.8), one(0.2, 0.5)) == "above"
    assert apart(one(0.2, 0.5), one(0.6, 0.8)) == "below"
    assert apart(one(0.5, 0.8), one(0.2, 0.5)) == "no"


@pytest.mark.parametrize(
    ("difference", "p", "claimed", "expected"),
    [
        ([0.2, 0.1, 0.3], 0.01, 1, "for"),
        ([0.2, 0.1, 0.3], 0.2, 1, "open"),
        ([0.2, 0.1, 0.3], None, -1, "against"),
        ([0.2, -0.1, 0.3], None, 1, "open"),
        ([0.0, None, None], 1.0, 1, "same"),
        ([None, None, None], None, 1, "open"),
    ],
)
def test_which_side_a_comparison_speaks_for(difference, p, claimed, expected):
    assert study("verdict").side(difference, p, claimed) == expected


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        (["for", "for"], "holds"),
        (["for", "open"], "holds partly"),
        (["for", "against"], "holds partly, in places the opposite"),
        (["open", "same"], "not seen"),
        (["open", "against"], "not seen, in places the opposite"),
        (["against"], "the opposite is seen"),
        ([], "not testable here"),
    ],
)
def test_the_word_of_a_claim_follows_its_rule(sides, expected):
    assert study("verdict").word(sides) == expected


def test_an_attack_that_runs_as_bim_differs_in_nothing_along_the_run(figures):
    rows = [row for row in figures["claims"]["smia"]["spot"]["rows"] if row["what"] != "seeds"]
    assert rows and all(row["side"] == "same" for row in rows)
    assert figures["traced"]["fundus_dr"]["steadfast"]["minus_bim"]["smoothed_mean"][0] != 0


def test_figures_are_written_with_their_interval():
    markdown = study("markdown")
    assert markdown.percent([0.171, 0.11, 0.26]) == "17 (11-26)"
    assert markdown.percent([-0.03, -0.09, 0.02]) == "-3 (-9 to 2)"
    assert markdown.percent([-0.001, -0.002, -0.001]) == "0 (0-0)"
    assert markdown.percent([0.5, None, None]) == "50" and markdown.percent([None, None, None]) == "-"
    assert markdown.number([0.305, 0.27, 0.35]) == "0.30 (0.27-0.35)"


@pytest.fixture
def prose(tmp_path):
    (tmp_path / "smia_study.md").write_text(
        '{{ benchmarks_table() }}\n{{ success("fundus_dr", "bim") }}\n'
        '{% do expect(entry("fundus_dr", "bim", "passes").passes < 100, "BIM is cheap") %}'
    )
    return tmp_path


def test_a_changed_figure_changes_the_page(figures, prose):
    pages, changed = study("pages"), copy.deepcopy(figures)
    changed["settings"]["fundus_dr@0.5"]["attacks"]["bim"]["both"]["success"]["before"] = [0.123, 0.1, 0.2]
    before, after = (pages.render(one, prose)["smia_study.md"] for one in (figures, changed))
    assert before != after and "12 (10-20)" in after


def test_a_sentence_that_the_figures_contradict_stops_the_page(figures, prose):
    pages, changed = study("pages"), copy.deepcopy(figures)
    changed["settings"]["fundus_dr@0.5"]["attacks"]["bim"]["both"]["passes"] = 200
    with pytest.raises(pages.OutdatedProseError, match="BIM is cheap"):
        pages.render(changed, prose)


def test_an_attack_that_is_not_there_is_no_empty_figure(figures, prose):
    (prose / "smia_study.md").write_text('{{ success("fundus_dr", "nothing") }}')
    with pytest.raises(KeyError, match="nothing"):
        study("pages").render(figures, prose)


def test_only_the_marked_section_of_a_page_is_replaced():
    inserted, begin, end = (getattr(study("pages"), name) for name in ("inserted", "BEGIN", "END"))
    once = inserted(f"# Title\n\n{begin}\n\nafter", "new\n")
    assert once == f"# Title\n\n{begin}\nnew\n{end}\n\nafter"
    assert inserted(once, "newer") == once.replace("new\n", "newer\n")


def test_targets_are_judged_by_the_comparisons(figures):
    targets, changed = study("targets"), copy.deepcopy(figures)
    assert "By success: **not reached**, after both on 0 of 2" in targets.reached(changed)
    for row in changed["ours"]:
        row["apart"] = "above"
        row["difference"] = [-0.2, -0.3, -0.1] if row["after"] == "before" else [0.2, 0.1, 0.3]
    told = targets.reached(changed)
    assert (
        "By success: **reached**, after both on 2 of 2" in told
        and "below 0: DR grades, ResNet-18, eps 0.5 (`pgd` -20 (-30 to -10)" in told
        and "**Not reached on the 2 measured**" in told
    )


def test_drawings_are_the_same_bytes_every_time(figures, tmp_path):
    plots = study("plots")
    first, second = (plots.draw(figures, tmp_path / name) for name in ("a", "b"))
    assert [path.name for path in first] == [f"{name}.svg" for name in plots.PICTURES]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.skipif(not RESULTS.is_file(), reason="the study has not been run yet")
def test_the_committed_pages_are_what_the_committed_figures_say():
    pages = study("pages")
    for name, text in pages.render(json.loads(RESULTS.read_text())).items():
        page = pages.page(ROOT / "docs", name).read_text()
        expected = text if name in pages.PAGES else pages.inserted(page, text)
        assert page == expected, "run: python -m benchmarks.smia_study --tables"
