"""The planted cases and how their verdicts are read; the audits themselves are `python -m benchmarks.planted`."""

from __future__ import annotations

import torch
from benchmarks.planted.__main__ import right
from benchmarks.planted.cases import CASES
from benchmarks.planted.images import SIZE, classes, findings, masks
from benchmarks.planted.networks import PerPixel, Whole
from benchmarks.planted.victims import WRAPPERS

from palpate.metrics.validity.indicators import FREE, INCOMPLETE, SILENT, TRANSFER, UNAVAILABLE, UNCONSTRAINED, UNSTABLE


def test_there_are_twenty_victims_on_three_tasks_and_one_for_each_indicator():
    assert len(CASES) >= 20 and len({case.task for case in CASES}) == 3
    alone = {case.expected for case in CASES if case.exact}
    six = (SILENT, INCOMPLETE, TRANSFER, UNCONSTRAINED, UNSTABLE, UNAVAILABLE)
    assert alone == {(name,) for name in six}
    assert sum(case.honest and case.adversarial for case in CASES) >= 3


def test_a_verdict_is_right_with_the_planted_name_only():
    honest = next(case for case in CASES if case.honest)
    exact = next(case for case in CASES if case.exact and case.expected == (TRANSFER,))
    masked = next(case for case in CASES if case.expected and not case.exact)
    assert right(honest, ()) and not right(honest, (TRANSFER,))
    assert right(exact, (TRANSFER,)) and not right(exact, (TRANSFER, FREE)) and not right(exact, ())
    assert right(masked, (FREE,)) and right(masked, (INCOMPLETE, TRANSFER))
    assert not right(masked, ()) and not right(masked, (INCOMPLETE,)) and not right(masked, (TRANSFER, SILENT))


def test_images_are_whole_numbers_with_their_annotations():
    for made, shape in ((classes, ()), (masks, (SIZE, SIZE)), (findings, (3,))):
        shown, target = made(6, 1)
        assert shown.shape == (6, 1, SIZE, SIZE) and bool((shown == shown.round()).all())
        assert target.shape == (6, *shape) and target.dtype == torch.int64
        assert torch.equal(shown, made(6, 1)[0])


def test_wrappers_keep_the_form_of_the_outputs():
    shown, _ = classes(2, 3)
    for name, wrapper in WRAPPERS.items():
        for network in (Whole(3), PerPixel()):
            if isinstance(network, PerPixel) and name in ("votes", "breaking", "shielded"):
                continue
            assert wrapper(network)(shown).shape == network(shown).shape
