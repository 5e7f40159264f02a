"""Equal images are judged once after several post-processing steps, unless the model draws random numbers."""

import torch
from torch import Tensor, nn

from palpate import Classification, Victim
from palpate.audit.work.verdicts import Verdicts


class Counted(nn.Module):
    """Mean and brightest value as logits; with noise that changes nothing but the random state."""

    def __init__(self, noisy: bool):
        super().__init__()
        self.noisy, self.calls = noisy, 0

    def forward(self, images: Tensor) -> Tensor:
        """(B, 2) logits."""
        self.calls += 1
        flat = images.flatten(1) + (torch.randn(1) if self.noisy else 0)
        return torch.stack([flat.mean(1), flat.amax(1)], 1)


def test_equal_images_share_a_verdict_and_others_do_not() -> None:
    for noisy, calls in ((False, 3), (True, 5)):
        module, images = Counted(noisy), torch.rand(3, 1, 4, 4)
        other = images.clone()
        other[2, 0, 0, 0] += 1
        with Victim(module) as victim:
            verdicts = Verdicts(victim, Classification(2), torch.zeros(3, dtype=torch.int64))
            found = [verdicts.of(one) for one in (images, images.clone(), other, other.clone(), images * 0.5)]
            assert module.calls == calls
            if not noisy:
                alone = Verdicts(victim, Classification(2), torch.zeros(3, dtype=torch.int64)).of(other)
                assert torch.equal(found[1][0], found[0][0]) and not torch.equal(found[2][0], found[0][0])
                assert torch.equal(found[3][0], alone[0]) and torch.equal(found[3][1], alone[1])
