"""`palpate.evaluate`: what it counts, what it accepts, and what it says about what it does not."""

import math
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import palpate
from palpate.metrics.intervals import wilson
from palpate.tasks.classification import Classification
from palpate.tasks.goals import Towards
from tests.api.worlds import Middle, climb, images_and_labels

IMAGES, LABELS = images_and_labels()
EPS = [0.025, 0.055]
ROWS = torch.arange(8)
MODEL = Middle()


def evaluate(data=IMAGES, labels=LABELS, model=None, **given):
    return palpate.evaluate(model or MODEL, data, labels, **{"attacks": "fgsm", "eps": EPS, **given})


def test_images_that_fall_are_counted_as_in_an_audit_and_wrong_ones_are_never_right():
    table = evaluate(attacks=[("noise", {"tries": 1}), "fgsm"])
    small, large = table.worst
    assert table.clean_accuracy == 7 / 8
    assert (small.robust_accuracy, large.robust_accuracy) == (5 / 8, 2 / 8)
    assert (small.success_rate, large.success_rate) == (2 / 7, 5 / 7)
    assert (small.low, small.high) == pytest.approx(wilson(5, 8))
    assert [row.attack for row in table] == ["noise", "noise", "fgsm", "fgsm"]
    assert table.robust_accuracy(0.025, "noise") == table.robust_accuracy("2.5%", "noise") == 7 / 8
    assert math.isnan(small.score)
    with pytest.raises(palpate.InputError, match=r"eps: 0\.3 was not tried. The budgets are 0\.025, 0\.055"):
        table.robust_accuracy(0.3)
    with pytest.raises(palpate.InputError, match="Did you mean 'fgsm'"):
        table.robust_accuracy(0.025, "fgsn")


FORMS = {
    "arrays": lambda: evaluate(IMAGES.numpy(), LABELS.numpy().astype("uint8")),
    "a pair": lambda: evaluate((IMAGES, LABELS), None),
    "a loader": lambda: evaluate(DataLoader(TensorDataset(IMAGES, LABELS), batch_size=3), None),
    "a dataset": lambda: evaluate(TensorDataset(IMAGES, LABELS), None),
    "batches": lambda: evaluate([(IMAGES[:5], LABELS[:5]), (IMAGES[5:], LABELS[5:])], None, batch=2),
    "a generator of dicts": lambda: evaluate(({"image": IMAGES[i], "label": LABELS[i]} for i in [ROWS]), None),
    "a column of labels": lambda: evaluate(labels=LABELS[:, None].float()),
    "a model in training": lambda: evaluate(model=Middle().train()),
    "a model of dicts": lambda: evaluate(model=lambda x: {"logits": Middle()(x)}, output="logits"),
    "a recipe": lambda: evaluate(attacks=palpate.Ascent(palpate.Linf(1.0), 12, random_start=False)),
    "capital letters": lambda: evaluate(attacks="FGSM", norm="Linf"),
    "a function": lambda: evaluate(attacks=climb),
    "a function of arrays": lambda: evaluate(attacks=lambda *given: climb(*given).detach().numpy()),
    "a loss": lambda: evaluate(attacks="bim", loss=nn.CrossEntropyLoss(), steps=2),
    "without gradients": lambda: torch.inference_mode()(evaluate)(IMAGES + 0, LABELS + 0, MODEL),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_figures(form):
    table = FORMS[form]()
    assert [row.robust_accuracy for row in table.worst] == [5 / 8, 2 / 8]


def test_bytes_have_bounds_and_steps_of_their_own():
    scaled = (IMAGES * 255).round().byte()
    table = evaluate(scaled, eps=["7 stored steps", "14/255"], preprocess=lambda values: values / 255)
    assert table.eps == [7, 14]
    assert [row.robust_accuracy for row in table.worst] == [5 / 8, 2 / 8]
    with pytest.warns(UserWarning, match=r"right on 3 of 8 images with values from 0 to 255, and on 7 with"):
        assert evaluate(scaled, eps=7).notes


def test_random_numbers_do_not_depend_on_the_batch_and_nothing_else_is_drawn():
    torch.manual_seed(3)
    first = evaluate(attacks="noise", eps=0.2, batch=3, seed=1)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    assert first == evaluate(attacks="noise", eps=0.2, seed=1)


def test_what_a_function_returns_is_projected_and_judged():
    with pytest.warns(UserWarning, match="'far' returned images outside the budget"):
        table = evaluate(attacks={"far": lambda model, x, y, eps: climb(model, x, y, 50 * eps)})
    assert [row.robust_accuracy for row in table] == [5 / 8, 2 / 8]
    assert evaluate(attacks=lambda model, x, y, eps: x).robust_accuracy(0.055) == 7 / 8


def test_a_loss_is_what_the_attack_climbs():
    with_loss = evaluate(
        attacks="bim", steps=2, loss=lambda outputs, labels: -nn.functional.cross_entropy(outputs, labels)
    )
    assert with_loss.robust_accuracy(0.055) == 7 / 8, "a loss of the wrong sign makes the model surer"
    each = evaluate(attacks="bim", steps=2, loss=nn.CrossEntropyLoss(reduction="none"))
    assert each.robust_accuracy(0.055) == 2 / 8


def test_masks_in_hounsfield_units_from_dicts_with_a_channel():
    slices = torch.full((3, 1, 8, 8), 40.0)
    slices[:, :, 2:6, 2:6] = -800.0
    batches = [{"image": slices, "label": (slices < -500).float()}]
    given = {"task": "segmentation", "attacks": "cospgd", "bounds": (-1024, 3071), "steps": 4}
    table = palpate.evaluate(lambda images: (-500 - images) / 50, batches, eps=["290 HU", "310 HU"], **given)
    assert [row.robust_accuracy for row in table] == [1, 0]
    assert table.rows[0].score == 1 > table.rows[1].score
    assert table.amount(310) == "310 HU" and "mean score" in str(table)


def test_masks_of_0_and_255_are_refused_and_not_counted_as_nothing():
    images = torch.rand(3, 1, 8, 8)
    masks = (images > 0.5)[:, 0] * 255
    model = lambda x: (x - 0.5) * 20  # noqa: E731
    with pytest.raises(palpate.InputError, match=r"hold 0 and 255.*Divide the masks by 255, or set ignore"):
        palpate.evaluate(model, images, masks, task="segmentation", attacks="fgsm", eps=0.1)
    with pytest.raises(palpate.InputError, match="hold 0 and 255"):
        palpate.attack(model, images, masks, "fgsm", eps=0.1, task="segmentation")
    table = palpate.evaluate(model, images, 0 * masks, task="segmentation", attacks="fgsm", eps=0.1)
    assert str(table).startswith("No image counts")


def test_a_radius_for_0_to_1_is_asked_about_with_bytes():
    scaled, given = (IMAGES * 255).round().byte(), {"preprocess": lambda values: values / 255}
    with pytest.warns(UserWarning, match=r'eps: 0\.03137 is less than half a stored value.*write "8/255"'):
        assert evaluate(scaled, eps=8 / 255, **given).notes
    with pytest.warns(UserWarning, match='write "8/255"'):
        palpate.attack(Middle(), scaled, LABELS, "fgsm", eps=8 / 255, bounds=(0, 255), **given)


def test_a_radius_is_printed_as_it_can_be_asked_for_and_float32_does_not_leave_it():
    table = evaluate(eps=[1e-5, 0.03, 0.5, 8 / 255])
    assert not table.notes
    assert [table.amount(row.eps) for row in table] == ["1e-05", "0.03", "8/255", "0.5"]
    assert [table.row(table.amount(row.eps)) for row in table.worst] == [*table.worst] and table[0].eps == 1e-5
    with pytest.raises(palpate.InputError, match=r"The budgets are 1e-05, 0\.03, 8/255, 0\.5"):
        table.row(0.2)
    assert "0.0313725" in str(evaluate(eps=8 / 255, norm="l2"))


def test_unknown_findings_are_nan_or_minus_1_and_attack_takes_the_name_of_the_task():
    images, found = torch.rand(4, 1, 8, 8), torch.tensor([[1, 0, -1.0]] * 4)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with_nan = found.masked_fill(found < 0, torch.nan)
    one, two = (palpate.attack(model, images, each, "fgsm", eps=0.1, task="multilabel") for each in (found, with_nan))
    assert torch.equal(one.margin, two.margin)
    assert repr(one).startswith("AttackResult(4 images, ") and len(repr(one)) < 100


def test_a_goal_has_success_rates_and_no_robust_accuracy():
    task = Classification(2, Towards((1,)))
    table = evaluate(task=task, eps=0.055)
    assert math.isnan(table.robust_accuracy()) and table.rows[0].success_rate == 3 / 4


def test_intervals_are_by_patient_and_the_first_images_can_be_taken():
    alone, by_patient = evaluate(eps=0.055), evaluate(eps=0.055, groups=[0, 0, 1, 1, 2, 2, 3, 3])
    assert alone.robust_accuracy() == by_patient.robust_accuracy()
    assert by_patient.rows[0].high > alone.rows[0].high
    assert evaluate(DataLoader(TensorDataset(IMAGES, LABELS), batch_size=3), None, limit=4).worst[0].images == 4


MISTAKES = [
    ({"labels": nn.functional.one_hot(LABELS)}, r"If they are one-hot, give labels\.argmax\(1\)"),
    ({"labels": LABELS[:3]}, "give 8 integer classes"),
    ({"labels": None}, r"targets: they are missing.*evaluate\(model, images, labels\)"),
    ({"eps": 8}, r'wider than the whole range 0 to 1.*eps="8/255"'),
    ({"eps": -0.1}, "eps: -0.1 must be a positive number"),
    ({"eps": None}, "eps: it is missing"),
    ({"eps": "5 HU"}, 'unit="HU"'),
    ({"data": IMAGES.expand(8, 3, 8, 8).permute(0, 2, 3, 1).numpy()}, r"images\.transpose\(0, 3, 1, 2\)"),
    ({"data": IMAGES[0].expand(3, 8, 8), "labels": LABELS[:1]}, r"that of one image. Give images\[None\]"),
    ({"data": IMAGES.short()}, "bounds: the images are int16"),
    ({"data": (IMAGES - 0.5) / 0.2}, "they look normalised.*preprocess=palpate.Preprocess"),
    ({"data": [], "labels": None}, "there was no batch"),
    ({"data": [(IMAGES, LABELS, 0)], "labels": None}, r"a batch has 3 parts.*\(\(x, y\) for x, y, _ in loader\)"),
    ({"data": [{"foo": IMAGES}], "labels": None}, "has the keys foo, and none .* images: image, images, .* Rename one"),
    ({"data": [{"Image_t1": IMAGES, "label": LABELS}], "labels": None}, "Rename 'Image_t1' to 'image', or give pairs"),
    ({"data": [{"image": IMAGES, "lable": LABELS}], "labels": None}, "none .* labels.* Rename 'lable' to 'label'"),
    ({"data": [{"image": IMAGES, "label": LABELS, "aged": LABELS}], "labels": None, "inputs": ["age"]},
     "keys image, label, aged, and none of them is that of the input: age. Rename 'aged' to 'age'"),
    ({"data": Middle(), "labels": None}, "Give the model first"),
    ({"model": lambda x: (Middle()(x), x)}, "output=0"),
    ({"attacks": "AutoAttack"}, r"There is no attack 'AutoAttack'. palpate's is called 'strongest'\."),
    ({"attacks": "CW"}, "palpate has another search for the smallest change: 'fmn'"),
    ({"attacks": "pgd", "num_iter": 3}, "has no parameter 'num_iter'. palpate's is called 'steps'"),
    ({"attacks": "pgd", "alpha": 0.1}, "palpate's is called 'step', in radii"),
    ({"epsilons": 3}, "epsilons: palpate.evaluate calls it 'eps'"),
    ({"attacks": "transfer"}, "Run it in a plan|run it in a plan"),
    ({"attacks": lambda x, y: x}, r"cannot be called with \(model, x, y, eps\)"),
    ({"attacks": lambda model, x, y, eps: None}, "Return the changed images alone"),
    ({"attacks": lambda model, x, y, eps: x * math.nan}, "NaN"),
    ({"attacks": "strongest", "loss": nn.CrossEntropyLoss()}, "does not climb one loss"),
    ({"attacks": "bim", "loss": lambda outputs, labels: outputs.missing}, "has no attribute 'missing'"),
    ({"attacks": []}, "attacks: there is none"),
    ({"task": "segmentatoin"}, "Did you mean 'segmentation'"),
    ({"groups": [0, 1]}, "groups: there are 2"),
    ({"groups": range(9)}, "groups: there are 9, and 8 images"),
    ({"labels": ["a", "b"] * 4}, "labels: they are texts"),
    ({"data": IMAGES * 1400 - 900, "bounds": (0, 1)}, r"not those of these images: .*bounds=\(-1024, 3071\)"),
    ({"data": DataLoader(TensorDataset(IMAGES, LABELS), 4, True), "labels": None, "groups": ROWS}, "shuffle=False"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), MISTAKES)
def test_a_mistake_gets_one_sentence(given, said):
    with pytest.raises((palpate.PalpateError, AttributeError), match=said):
        evaluate(**given)


def test_an_attack_of_another_library_is_told_how_to_be_wrapped():
    foreign = type(
        "PGD", (), {"__module__": "torchattacks.attacks.pgd", "__call__": lambda self, images, labels: images}
    )
    with pytest.raises(palpate.InputError, match=r"PGD of torchattacks.*lambda model, x, y, eps: torchattacks\.PGD"):
        evaluate(attacks=foreign())


def test_the_table_is_text_html_columns_and_a_plot(monkeypatch):
    table = evaluate(attacks=["fgsm", {"attack": "noise", "name": "<b>", "tries": 1}], eps=["8/255"])
    assert str(table).splitlines()[0] == "8 images, 87.5% right without an attack"
    assert "fgsm         8/255             50.0%" in str(table)
    assert "&lt;b&gt;" in table._repr_html_()
    assert table.to_dict()["attack"] == ["fgsm", "<b>", "worst case"] and len(table.to_rows()) == 3
    ax = table.plot()
    assert ax.get_xticklabels()[0].get_text() == "8/255"
    assert [line.get_label() for line in ax.get_lines()] == ["fgsm", "<b>", "worst case", "without an attack"]
    assert table.plot(ax) is ax
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(palpate.InputError, match=r"pandas is not installed. Install it with `pip install pandas`"):
        table.to_pandas()
    frames = type(sys)("pandas")
    frames.DataFrame = dict
    monkeypatch.setitem(sys.modules, "pandas", frames)
    assert table.to_pandas() == table.to_dict()


def test_a_call_for_one_attack_knows_the_names_of_others_too():
    with pytest.raises(palpate.InputError, match=r"epsilon: .* calls it 'eps'"):
        palpate.attack(Middle(), IMAGES, LABELS, "pgd", epsilon=0.1)
    hounsfield = torch.full((2, 1, 8, 8), 40.0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    result = palpate.attack(model, hounsfield, [0, 1], "FGSM", eps="5 HU", bounds=(-1024, 3071))
    assert np.isclose(float(result.distance.max()), 5)
