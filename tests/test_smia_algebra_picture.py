"""The picture of SMIA's algebra shows what the code computes, and the page says what the picture shows."""

import re
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

NUMBER = re.compile(r"\d+(?:\.\d+)?")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import smia_algebra_picture as picture  # noqa: E402


@pytest.fixture(scope="module")
def met():
    return picture.along()


def test_arrows_before_the_flip_lie_on_one_line_and_after_it_end_at_the_margin():
    bim = picture.pull(0.0, picture.Y)
    for alpha in picture.BEFORE:
        torch.testing.assert_close(picture.pull(alpha, picture.Y), (1 - alpha) * bim)
    torch.testing.assert_close(picture.pull(0.0, picture.C), bim)
    away = [picture.flat(picture.pull(alpha, picture.C)) for alpha in picture.AFTER]
    limit = picture.flat(F.one_hot(torch.tensor(picture.C), 3).double() - F.one_hot(torch.tensor(picture.Y), 3))
    assert away[-1] == pytest.approx(limit, abs=1e-12) and limit[1] == pytest.approx(0)
    # The gradient is linear in alpha, so that the tips share a line.
    for alpha, tip in zip(picture.AFTER, away, strict=True):
        expected = [(1 - alpha) * first + alpha * last for first, last in zip(away[0], limit, strict=True)]
        assert tip == pytest.approx(expected, abs=1e-12)


def test_the_drawn_point_is_right_but_not_sure():
    p = torch.tensor(picture.LOGITS).softmax(0)
    assert p.argmax() == picture.Y and p.max() < 0.7


def test_angles_are_rounding_just_where_the_smoothed_decision_is_right(met):
    assert met.right.any() and not met.right.all()
    assert met.degrees[met.right].max() < 1e-10
    assert met.degrees[~met.right].min() > 1e-8
    assert bool(met.right[0].all()), "the first step starts at images that are graded rightly"


def test_the_page_says_what_the_attack_met(met):
    page = picture.PAGE.read_text()
    written = page.partition(picture.BEGIN)[2].partition(picture.END)[0].strip()
    told = picture.words(met)
    assert NUMBER.sub("#", written) == NUMBER.sub("#", told), "run: python tools/smia_algebra_picture.py"
    # Another processor rounds otherwise: a count may move by one, an angle by a little.
    for stands, now in zip(NUMBER.findall(written), NUMBER.findall(told), strict=True):
        assert float(stands) == pytest.approx(float(now), rel=0.3, abs=1 if stands.isdigit() else 0)
    assert f"]({Path('../images') / picture.PICTURE.name})" in page


def test_the_drawing_is_the_same_every_time_and_is_an_svg(met):
    import xml.etree.ElementTree as ET

    first = picture.draw(met)
    assert first == picture.draw(met)
    assert ET.fromstring(first).tag.endswith("svg")
    assert ET.fromstring(picture.PICTURE.read_bytes()).tag.endswith("svg")
