from __future__ import annotations

import base64
import io
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from palpate.errors import StorageError
from palpate.metrics.stability_run import along_the_run
from palpate.report import show
from palpate.report.compute import stability_words
from palpate.report.compute.results import measure
from palpate.report.compute.stability_maps import read_maps
from palpate.report.compute.stability_traces import known
from palpate.report.compute.stability_words import HEADING, UNRELATED, independent, sentence
from palpate.report.draw.stability import decades
from palpate.report.draw.stability_maps import LEVELS, SIDE, ColourBar, thinned
from palpate.report.model.schema_stability import AttackStability, Course, PlainComparison, Summary
from palpate.report.model.typed import Figure
from palpate.report.page.stability_views import held
from palpate.storage.runs import RunFolder
from palpate.storage.traces import TraceRow
from tests.report.dense import make_dense
from tests.report.test_clinic import page
from tests.report.test_html import Page, make
from tests.report.traced import SIZE, WALKS, Walk, add_traces, make_traced, trace_maps
from tests.report.world import ATTACKS, FEW, HOSTILE, Patients, make_run, shard


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> RunFolder:
    """A grader's run with traces; tests must not write into it."""
    return make_traced(tmp_path_factory.mktemp("traced") / "run")


@pytest.fixture(scope="module")
def told(traced):
    return measure(traced).stability


@pytest.fixture(scope="module")
def shown(traced) -> Page:
    return page(traced)


def of(stability, attack: str) -> AttackStability:
    return next(one for one in stability.attacks if one.attack == attack)


def section(run: RunFolder, *, names: bool = False) -> str:
    """The markup of the section."""
    html = make(run, names=names)
    start = html.index('<section id="stability">')
    return html[start : html.index("</section>", start)]


def made(**changes) -> AttackStability:
    """A traced attack by its figures: summaries by their name, as `along={"half_time": 0.3}`."""

    def summaries(figures):
        figures = {name: one if isinstance(one, dict) else {"value": one} for name, one in figures.items()}
        nothing = {"low": None, "high": None, "method": "none"}
        return [Summary(name=name, figure=Figure(**{**nothing, **one})) for name, one in figures.items()]

    along = {"cos_final_half": 0.95, "half_time": 0.3, "cos_step": 0.4, **changes.pop("along", {})}
    restarts = {"differing": {"value": 0.0, "count": 0, "total": 4}, "change": 0.5, **changes.pop("restarts", {})}
    base = AttackStability(
        attack="made", goal="untargeted", state="traced", draws=False, weight=None, steps=10, images=4, starts=1,
        sentence="", beside=None, curves=[], courses=[], along_run=summaries(along),
        across_restarts=summaries(restarts), across_images=[],
    )  # fmt: skip
    return base.model_copy(update=changes)


def test_the_curves_are_the_medians_and_quartiles_of_the_images(traced, told):
    frame = traced.traces()
    for attack in ("fgsm", "pgd", "smia"):
        mine = {name: column[frame["attack"] == attack] for name, column in frame.items()}
        steps = WALKS[attack].steps
        for curve in of(told, attack).curves:
            for step in range(steps + 1):
                at = mine["step"] == step
                rows = mine["row"][at]
                images = [mine[curve.name][at][rows == row].mean() for row in np.unique(rows)]
                expected = np.quantile(images, [0.5, 0.25, 0.75])
                found = [getattr(curve, end)[step] for end in ("median", "low", "high")]
                assert [np.nan if one is None else one for one in found] == pytest.approx(expected, nan_ok=True)


def test_the_figures_are_those_of_the_metrics_and_stand_in_the_tables(traced, told, shown):
    frame = traced.traces()
    for attack in ("pgd", "smia", "hide"):
        summary, one = along_the_run(frame, attack).summary, of(told, attack)
        for name in ("cos_step", "falling", "half_time", "smoothed_end", "cos_final_half", "plane_share"):
            expected, figure = getattr(summary, name), one.along(name)
            assert figure.value == pytest.approx(expected.value)
        assert f"{one.along('cos_final_half').value:.2f}" in shown.text
        assert f"{100 * one.along('plane_share').value:.1f}%" in shown.text
        assert sentence(one, "linf", say_still=False) in shown.text
    last = frame["step"] == frame["steps"]
    for course in of(told, "pgd").courses:
        at = last & (frame["attack"] == "pgd") & (frame["row"] == course.row) & (frame["start"] == course.start)
        (place,) = np.flatnonzero(at)
        x, y, length = (frame[name][place] for name in ("plane_x", "plane_y", "l2"))
        assert course.share == pytest.approx((x**2 + y**2) / length**2) and 0 < course.share < 1
    assert len(of(told, "pgd").courses) == 4 * 3 and len(of(told, "smia").courses) == 4
    shares = [round(100 * course.share) for course in of(told, "pgd").courses]
    assert f"the planes hold {min(shares)} to {max(shares)}%" in shown.text


def test_spreads_over_starts_are_those_of_the_maps_and_of_the_traces(traced, told):
    identity = next(item["identity"] for item in traced.describe()["stability"]["items"] if item["attack"] == "pgd")
    maps = traced.trace_maps(identity)
    assert of(told, "pgd").restarts("change").value == pytest.approx(maps["spread_starts"].mean() / told.eps)
    frame = traced.traces()
    pgd = frame["attack"] == "pgd"
    beaten = {
        row: {
            bool(frame["margin"][pgd & (frame["row"] == row) & (frame["start"] == start)].min() <= 0)
            for start in range(3)
        }
        for row in np.unique(frame["row"][pgd])
    }
    assert of(told, "pgd").restarts("differing").count == sum(len(both) > 1 for both in beaten.values())
    assert of(told, "smia").restarts("change").value is None
    assert "no random numbers" in of(told, "smia").restarts("change").note


def test_spreads_over_images_are_those_of_the_records_at_the_traced_budget(traced, told):
    frame = traced.frame()
    rows = (frame["attack"] == "pgd") & (frame["eps"] == told.eps) & frame["eligible"]
    drops = frame["clean_score"][rows] - frame["score"][rows]
    assert of(told, "pgd").over_images("drop").value == pytest.approx(drops.mean())
    assert of(told, "pgd").over_images("spread").value == pytest.approx(drops.std(ddof=1))
    assert of(told, "pgd").over_images("success").count == frame["success"][rows].sum()
    assert of(told, "noise").over_images("success").total == (frame["eligible"] & rows).sum()


def test_the_section_stands_in_the_page_with_all_its_parts(traced, shown):
    assert "stability" in {attrs["id"] for attrs in shown.all("section")}
    assert "#stability" in {attrs.get("href") for attrs in shown.all("a")}
    ids = [attrs["id"] for _, attrs in shown.elements if attrs.get("id")]
    assert len(ids) == len(set(ids)) and {"disagreement", "terms", "paths", "maps", "meanings"} <= set(ids)
    markup = section(traced)
    # Four attacks with curves and paths, one with terms.
    assert markup.count("<svg") == 4 + 4 + 1
    # Each of two images once, what four attacks did to it, the spread of the two that draw, and four maps over images.
    assert markup.count("<img") == 2 * (1 + 4 + 2) + 4 and markup.count('alt="clean image') == 2
    assert "Disagreement (KL divergence)" in shown.text and "nan" not in re.findall(r"\w+", shown.text)
    assert "Not traced: it does not follow a gradient" in shown.text


def test_attacks_that_could_win_no_image_and_those_still_to_come_say_so(tmp_path):
    run = make_traced(tmp_path / "none", attacks=FEW)
    items = run.describe()["stability"]["items"]
    run.save_description({**run.describe(), "stability": {**run.describe()["stability"], "items": items[1:]}})
    assert "none of the chosen images was eligible" in of(measure(run).stability, "fgsm").sentence
    run = make_traced(tmp_path / "later", attacks=FEW, leave_out=["pgd"])
    run.save_description({**run.describe(), "status": "unfinished", "finished": None})
    stability = measure(run).stability
    assert [(one.state, bool(one.sentence)) for one in stability.attacks] == [
        ("traced", True), ("unfinished", True), ("traced", True)
    ]  # fmt: skip
    assert "Not traced yet." in page(run).text


def test_rows_that_could_not_be_won_do_not_count(tmp_path):
    run = make_traced(tmp_path / "run", attacks=FEW)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    before = measure(run).stability
    rows = run.read_trace(item["identity"]).to_pylist()
    fields = ("margin", "value", "loss", "penalty", "kl_smoothed", "kl_final", "kl_clean", "cos_step", "cos_final",
              "linf", "l2", "plane_x", "plane_y")  # fmt: skip
    lost = [{**row, "row": 59, **dict.fromkeys(fields, float("nan"))} for row in rows if row["row"] == 1]
    run.write_trace(item["identity"], [TraceRow(**row) for row in [*rows, *lost]])
    assert of(measure(run).stability, "pgd") == of(before, "pgd")
    assert 59 not in known(run.traces())["row"]
    run.write_trace(item["identity"], [TraceRow(**row) for row in lost])
    assert of(measure(run).stability, "pgd").state == "no image"


@pytest.mark.parametrize("off", [True, False])
def test_without_traces_the_section_is_one_sentence(tmp_path, off):
    run = make_run(tmp_path / "run", attacks=FEW, pictures=0, **({"stability": None} if off else {}))
    stability = measure(run).stability
    assert stability.state == ("switched off" if off else "not known") and stability.attacks == []
    markup = section(run)
    assert ("images = 0" in markup) == off and "<svg" not in markup and "<table" not in markup


@pytest.mark.parametrize(
    "how",
    [
        {"smoothed": False},
        {"starts": 1},
        {"rows": (1,)},
        {"rows": (1,), "starts": 1, "walks": {"fgsm": WALKS["fgsm"]}},
        {"per_group": 2},
    ],
)
def test_little_that_was_traced_makes_no_hole_in_the_page(tmp_path, how):
    walks = how.pop("walks", WALKS)
    smoothed = how.get("smoothed", True)
    if not smoothed:
        walks = {name: replace(walk, smoothed=float("nan")) for name, walk in walks.items()}
    run = make_run(tmp_path / "run", attacks=(*FEW, "smia"), pictures=0)
    add_traces(run, walks, **how)
    markup = section(run)
    text = Page(markup).text
    assert not {"nan", "None"} & set(re.findall(r"\w+", text))
    assert ("from the smoothed image's answer" in text) == smoothed
    assert ("smoothed = false" in text) == (not smoothed)
    if how.get("starts") == 1 and "pgd" in walks:
        assert "One start was traced" in of(measure(run).stability, "pgd").sentence
    if how.get("rows") == (1,):
        assert "One image was attacked once more" in text and "spread over images" not in markup
        assert all(value is None for curve in measure(run).stability.attacks[0].curves for value in curve.low)


def test_an_attack_of_one_step_has_no_path(told, shown):
    assert of(told, "fgsm").sentence.startswith("It takes one step, so it has no path to describe.")
    table = shown.text[shown.text.index("Along the run") : shown.text.index("From start to start")]
    assert "fgsm" not in table and "smia" in table


def test_volumes_have_maps_of_their_planes_and_masks_their_words(tmp_path):
    run = make_dense(tmp_path / "run", "segmentation", pictures=0)
    add_traces(run, {"fgsm": WALKS["fgsm"], "cospgd": WALKS["pgd"]})
    told = measure(run).stability
    assert [one.attack for one in told.attacks if one.state == "traced"] == ["fgsm", "cospgd"]
    text = Page(section(run)).text
    assert "the mean over the pixels that count" in text and "nan" not in re.findall(r"\w+", text)


def test_images_of_several_sizes_are_shown_as_large_as_they_are(tmp_path):
    run = make_traced(tmp_path / "run", attacks=FEW)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    maps = trace_maps(WALKS["pgd"], (1, 2, 3, 5), 3, 1.0)
    del maps["spread_images"]
    maps["sizes"][1] = (7, 5)
    for name in ("spread_starts", "change"):
        maps[name][1, 7:], maps[name][1, :, 5:] = np.nan, np.nan
    run.write_trace(item["identity"], [], maps)
    found = read_maps(run, item["identity"])
    assert [one.shape for one in found.change][:2] == [(SIZE, SIZE), (7, 5)]
    assert np.isfinite(found.change[1]).all() and found.shown[1].shape == (7, 5, 3)


def test_names_of_images_are_shown_only_where_they_were_asked_for(traced):
    assert "eye_001.png" not in section(traced)
    assert "row 1 · eye_001.png" in Page(section(traced, names=True)).text


def test_what_draws_nothing_is_said_once_on_the_page_and_for_each_attack_in_the_results(traced, told):
    text = Page(section(traced)).text
    assert text.count("no random numbers") == 1 and "draw no random numbers, so their starts are the same" in text
    assert sum("draws no random numbers" in one.sentence for one in told.attacks) == 2
    drawing = [one.model_copy(update={"draws": True}) for one in told.attacks]
    assert stability_words.still(drawing) == ""


def _cut(path):
    path.write_bytes(path.read_bytes()[:100])


def _flip(path):
    bytes_ = bytearray(path.read_bytes())
    # Near its end both formats keep what the file holds.
    bytes_[-80:-40] = b"x" * 40
    path.write_bytes(bytes_)


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
@pytest.mark.parametrize("harm", [_cut, _flip, lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_damaged_trace_takes_only_itself_out_of_the_report(tmp_path, traced, told, suffix, harm):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(traced.path, run.path)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    harm(run.trace(item["identity"]).with_suffix(suffix))
    stability = measure(run).stability
    lost = of(stability, "pgd")
    assert lost.state == "damaged" and lost.curves == [] and lost.across_images == of(told, "pgd").across_images
    for name in ("fgsm", "hide", "noise"):
        assert of(stability, name) == of(told, name)
    file = f"stability/{item['identity']}.parquet"
    assert file in lost.sentence and "palpate audit" in lost.sentence and str(tmp_path) not in lost.sentence
    assert Page(section(run)).text.count(file) == 1
    sink = io.StringIO()
    show(run, Console(file=sink, width=400))
    assert f"pgd: {lost.sentence}" in sink.getvalue()


def test_rows_that_do_not_belong_together_are_a_damaged_trace_too(tmp_path):
    run = make_traced(tmp_path / "run", attacks=FEW)
    for item in run.describe()["stability"]["items"]:
        rows = [TraceRow(**row) for row in run.read_trace(item["identity"]).to_pylist()]
        run.write_trace(item["identity"], [*rows, rows[0]])
    stability = measure(run).stability
    assert {one.state for one in stability.attacks} == {"damaged"}
    assert stability.sentences == ["No trace can be read."]
    assert "<svg" not in section(run)


@pytest.mark.filterwarnings("error")
def test_a_start_without_any_margin_says_nothing_of_its_image(tmp_path):
    run = make_traced(tmp_path / "run", attacks=FEW)
    item = next(item for item in run.describe()["stability"]["items"] if item["attack"] == "pgd")
    rows = run.read_trace(item["identity"]).to_pylist()
    total = of(measure(run).stability, "pgd").restarts("differing").total
    for row in rows:
        if (row["row"], row["start"]) == (2, 1):
            row["margin"] = float("nan")
    run.write_trace(item["identity"], [TraceRow(**row) for row in rows])
    assert of(measure(run).stability, "pgd").restarts("differing").total == total - 1


@pytest.mark.parametrize("wrong", ["missing", "shape", "bytes"])
def test_maps_that_are_not_what_they_must_be_are_named(tmp_path, wrong):
    run = make_traced(tmp_path / "run", attacks=FEW)
    identity = run.describe()["stability"]["items"][1]["identity"]
    maps = run.trace_maps(identity)
    if wrong == "missing":
        del maps["change"]
    else:
        maps["spread_starts"] = maps["spread_starts"][:, 1:]
    run.write_trace(identity, [], maps)
    if wrong == "bytes":
        run.trace(identity).with_suffix(".npz").write_bytes(b"PK")
    with pytest.raises(StorageError, match=rf"{identity}\.npz.*[Dd]elete .*{identity}\.parquet"):
        read_maps(run, identity)


def test_no_name_of_an_attack_becomes_markup(tmp_path):
    run = make_run(tmp_path / "run", attacks=FEW, pictures=0)
    told = run.describe()
    for attack in told["attacks"]:
        attack["name"] += HOSTILE
    run.save_description(told)
    for press in ATTACKS:
        if press.name in FEW:
            records = shard(press, Patients.make(60, 1, False), "")
            run.write_shard(press.name, [replace(one, attack=one.attack + HOSTILE) for one in records])
    add_traces(run, {f"{name}{HOSTILE}": WALKS[name] for name in FEW}, untraced=[f"noise{HOSTILE}"])
    html = section(run)
    text = Page(html).text
    assert HOSTILE not in html and "<script>alert" not in html and text.count(HOSTILE) > 10


def test_a_stabilised_attack_on_the_path_of_another_is_said_to_be_that_attack(tmp_path):
    run = make_run(tmp_path / "run", attacks=("fgsm", "pgd", "smia"), pictures=0)
    plain = Walk(seed=4)
    add_traces(run, {"pgd": plain, "smia": replace(plain, weight=0.5), "fgsm": WALKS["fgsm"]})
    told = measure(run).stability
    beside = of(told, "smia").beside
    assert (beside.attack, beside.images, beside.same_path) == ("pgd", 4, 4)
    assert "On all 4 images it takes exactly the path of pgd: its term changes nothing." in of(told, "smia").sentence
    assert told.sentences[1] == "smia takes exactly the path of pgd on all 4 images."
    add_traces(run, {"pgd": plain, "smia": replace(plain, weight=0.5, seed=5, smoothed=0.001), "fgsm": WALKS["fgsm"]})
    told = measure(run).stability
    beside = of(told, "smia").beside
    assert (beside.same_path, beside.nearer) == (0, 4)
    assert "than under pgd on all 4 images, as its term should make it" in of(told, "smia").sentence


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        (
            {"along": {"cos_final_half": HEADING}},
            "It keeps its direction: at half the steps its change points in the final direction (cosine 0.90)",
        ),
        (
            {"along": {"cos_final_half": HEADING - 0.01}},
            "It bends: at half the steps its change points only partly in the final direction (cosine 0.89)",
        ),
        (
            {"along": {"cos_final_half": UNRELATED - 0.01}},
            "It changes its direction: at half the steps its change points little in the final direction",
        ),
        ({"along": {"cos_final_half": None}}, "It did not change the image."),
        ({"along": {"half_time": 0.75}}, "The model's answer never settled: it was half-way to the final one only"),
        ({"along": {"half_time": 0.74}}, "The model's answer is half-way to the final one after 74% of the steps"),
        ({"along": {"cos_step": -0.2}}, "successive steps go back and forth (mean cosine −0.20)"),
        ({"weight": 0.0}, "has the weight 0 and has no effect"),
        ({"weight": 0.5}, "No attack without a stabilisation term was traced to compare it with"),
        (
            {"draws": True, "starts": 3},
            "All 3 starts agree on which images are beaten; the spread of their final changes at a pixel is 0.50 eps",
        ),
        (
            {"draws": True, "starts": 2, "restarts": {"differing": {"value": 0.25, "count": 1, "total": 4}}},
            "On 1 of 4 images some of the 2 starts win and others do not",
        ),
        (
            {"draws": True, "starts": 3, "restarts": {"change": 0.05}},
            "at a pixel is 0.05 eps, so they are nearly the same",
        ),
        ({"draws": True, "starts": 2}, "(unrelated signs give 0.71)"),
        ({"state": "no gradient"}, "Not traced: it does not follow a gradient"),
    ],
)
def test_each_case_has_its_sentence(figures, says):
    assert says in sentence(made(**figures), "linf")


@pytest.mark.parametrize(
    ("nearer", "says"),
    [
        (4, "than under bim on all 4 images, as its term should make it."),
        (3, "than under bim on 3 of 4 images."),
        (2, "than under bim on 2 of 4 images: its term does not do what it should."),
        (None, "was not measured (smoothed = false)"),
    ],
)
def test_what_the_term_asks_is_held_against_the_attack_without_it(nearer, says):
    beside = PlainComparison(attack="bim", images=4, same_path=1, comparable=True, nearer=nearer)
    text = sentence(made(weight=0.5, beside=beside), "linf")
    assert says in text and "On 1 of 4 images it takes exactly the path of bim." in text


def test_what_is_smoothed_otherwise_is_not_compared(tmp_path):
    run = make_run(tmp_path / "run", attacks=("pgd", "smia"), pictures=0)
    add_traces(run, {"pgd": WALKS["pgd"], "smia": WALKS["smia"]})
    told = run.describe()
    told["attacks"][1]["parameters"]["smooth"] = "image"
    run.save_description(told)
    one = of(measure(run).stability, "smia")
    assert (one.beside.comparable, one.beside.nearer) == (False, None)
    assert "cannot be compared with pgd, whose trace smooths differently" in one.sentence


def test_only_an_l_inf_ball_has_a_measure_for_unrelated_signs():
    assert "unrelated signs" not in sentence(made(draws=True, starts=3), "l2")
    rng = np.random.default_rng(0)
    for starts in (2, 3, 5):
        signs = rng.choice([-1.0, 1.0], size=(starts, 200_000))
        assert independent(starts) == pytest.approx(signs.std(axis=0, ddof=1).mean(), abs=5e-3)


def test_all_attacks_together_are_counted():
    late = made(attack="slow", along={"half_time": 0.9, "cos_final_half": 0.5})
    single = made(attack="fgsm", steps=1)
    assert stability_words.sentences([made(), late, single]) == [
        "Of 2 attacks traced over several steps, 1 keeps the direction that it had half-way; under slow "
        "the model's answer never settled."
    ]
    assert stability_words.sentences([made(), made()])[0].endswith(
        "all keep the direction that they had half-way; the model's answers were half-way to the end before three "
        "quarters of the steps."
    )
    assert stability_words.sentences([single])[0].startswith("All traced attacks take one step")
    assert stability_words.sentences([made(state="no gradient")]) == ["No attack was traced."]
    assert stability_words.sentences([late])[0].startswith("The attack traced over several steps does not keep")


def test_shares_of_paths_are_told_as_a_range():
    courses = [Course(row=0, start=place, share=share) for place, share in enumerate((0.301, None, 0.35))]
    assert held(courses) == "the planes hold 30 to 35%"
    assert held(courses[:1]) == "the plane holds 30%" and held(courses[1:2]) == "it did not change the image"


def test_all_curves_share_a_scale_of_whole_powers_of_ten(told):
    low, high = decades(told.attacks)
    curves = [curve for one in told.attacks for curve in one.curves if curve.name.startswith("kl")]
    positive = [value for curve in curves for value in curve.high if value]
    assert 10.0**low <= min(positive) and max(positive) <= 10.0**high
    assert decades([]) == (-1, 0)


def test_a_map_keeps_its_values_up_to_its_number_of_colours():
    values = np.linspace(0, 3, 400).reshape(20, 20)
    bar = ColourBar.of([values], signed=False)
    picture = Image.open(io.BytesIO(base64.b64decode(bar.picture(values).split(",")[1])))
    levels = np.asarray(picture)
    assert np.abs(levels / (LEVELS - 1) * 3 - values).max() <= 3 / (LEVELS - 1) / 2 + 1e-9
    assert bar.shown("HU")["high"] == "3 HU"
    signed = ColourBar.of([values - 3], signed=True)
    assert (signed.low, signed.high) == (-3, 3)
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(signed.picture(values - 3).split(",")[1])))).min() == 0
    large = np.arange(500 * 40).reshape(500, 40)
    assert max(thinned(large).shape) <= SIDE and set(thinned(large).ravel()) <= set(large.ravel())


def test_the_terminal_says_it_in_one_line(traced, told):
    sink = io.StringIO()
    show(traced, Console(file=sink, width=200))
    assert sink.getvalue().count(told.sentences[0]) == 1 and told.sentences[1] not in sink.getvalue()
