"""Defences around a victim: order, seeds, forms, and nothing where there are none."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from palpate.checks import victims
from palpate.defences import Reading, Smoothing
from palpate.errors import InputError
from palpate.victim import Tuning, Victim
from palpate.victim.draws import JUDGED, SEARCHED


@dataclass(frozen=True)
class Marks:
    """Notes what it is asked, and changes the images."""

    seen: tuple = ()
    add: float = 0.0
    factor: float = 1.0
    exact = True

    def describe(self):
        return "marks"

    def __call__(self, images: Tensor, answer, how):
        self.seen[0].append((self.add, self.factor, how.kind, how.seed))
        return answer(images * self.factor + self.add)


def victim(*defences, **given):
    return Victim(victims.small_net(1, 3, 2, (0, 255)), (0, 255), defences=defences, **given)


def test_without_defences_the_network_itself_answers():
    images = victims.images(4)[:, :1]
    with victim() as bare:
        assert torch.equal(bare.judge(images), bare.module(images))
        assert bare.exact


def test_the_first_defence_is_the_outermost_and_each_has_its_own_seed():
    seen = []
    notes = (seen,)
    images = victims.images(2)[:, :1]
    with victim(Marks(notes, add=3.0), Marks(notes, factor=2.0)) as both:
        assert torch.equal(both.judge(images), both.module((images + 3) * 2))
        both.score(images)
        both.forward_no_grad(images)
    assert [one[:3] for one in seen[:2]] == [(3.0, 1.0, "judge"), (0.0, 2.0, "judge")]
    seeds = {one[3] for one in seen}
    assert len(seeds) == 4 and {JUDGED, SEARCHED} < seeds
    assert both.forwards == 6


def test_a_search_copy_is_defended_too():
    images = victims.images(2)[:, :1]
    with victim(Marks(([],), add=40.0), tuning=Tuning("channels_last", fold=True)) as tuned:
        assert torch.allclose(tuned.score(images), tuned.module(images + 40), atol=1e-4)


def test_outputs_of_a_defence_must_keep_their_form():
    class Cut(Marks):
        def __call__(self, images, answer, how):
            return answer(images)[:, :2]

    images = victims.images(2)[:, :1]
    with victim(Cut(([],))) as cut:
        cut.expect(cut.module(images))
        with pytest.raises(InputError, match="its output changes during the run"):
            cut.judge(images)


def test_smoothing_votes_and_climbs_mean_probabilities():
    images = victims.images(3)[:, :1].requires_grad_()
    smooth = Smoothing(30.0, draws=8, votes=50)
    with victim(smooth) as smoothed:
        judged, searched = smoothed.judge(images), smoothed.search(images)
        shares = judged.exp()
        assert torch.allclose((shares * 50).round(), shares * 50, atol=0.51)
        assert torch.allclose(searched.exp().sum(1), torch.ones(3), atol=1e-5)
        assert smoothed.gradient(searched[:, 0], images).abs().amax() > 0
        assert torch.isfinite(judged).all() and not smoothed.exact
        noise = torch.randn(images.shape[1:], generator=torch.Generator().manual_seed(SEARCHED)) * 30
        with victim(Smoothing(30.0, draws=1)) as once:
            assert torch.allclose(once.score(images), once.module(images + noise).log_softmax(1), atol=1e-6)


def test_smoothing_does_not_depend_on_the_batch():
    images = victims.images(4)[:, :1]
    with victim(Smoothing(30.0, draws=4, votes=20)) as smoothed:
        for run in (smoothed.judge, smoothed.score):
            whole = run(images)
            assert torch.equal(whole, run(images))
            for row in range(4):
                assert torch.allclose(run(images[row : row + 1]), whole[row : row + 1], atol=1e-5)


@pytest.mark.parametrize("thresholds", [(0.5,), (0.3, 0.5, 0.9)])
def test_a_finding_is_present_when_most_votes_say_so(thresholds):
    reading = Reading("sigmoid", thresholds)
    points = torch.tensor(thresholds, dtype=torch.float64).logit().float()
    scores = torch.tensor([[0.1, 1.0, 2.0], [-0.9, -1.0, 2.3]])
    yes = reading.votes(scores)
    assert torch.equal(yes.bool(), scores > points)
    majority = reading.of_shares(torch.tensor([[0.49, 0.51, 1.0]]), 0.01)
    assert torch.equal(majority[0] > points, torch.tensor([False, True, True])) and torch.isfinite(majority).all()
    assert torch.allclose(reading.mean([scores]), scores, atol=1e-5)


def test_the_grade_of_a_majority_is_the_median_of_the_votes():
    reading = Reading("cumulative")
    outputs = [torch.tensor([[1.0, 1.0, -1.0]]), torch.tensor([[1.0, -1.0, 5.0]]), torch.tensor([[-1.0, 5.0, 5.0]])]
    shares = torch.stack([reading.votes(one) for one in outputs]).mean(0)
    assert int((reading.of_shares(shares, 0.01) > 0).sum()) == 1
    assert (reading.mean(outputs)[0].diff() <= 0).all()


def test_smoothing_refuses_boxes_and_senseless_numbers():
    from palpate.annotations import Candidates

    class Boxes(nn.Module):
        def forward(self, images):
            return Candidates(images.flatten(2)[:, :, :2], images.flatten(2)[:, :, :4])

    with (
        Victim(Boxes(), (0, 255), defences=(Smoothing(5.0),)) as boxes,
        pytest.raises(InputError, match="which have no mean"),
    ):
        boxes.judge(victims.images(2))
    with pytest.raises(InputError, match=r"smoothing\.sigma: 0 must be above 0"):
        Smoothing(0.0)
    with pytest.raises(InputError, match=r"smoothing\.votes: 0 must be at least 1"):
        Smoothing(1.0, votes=0)
