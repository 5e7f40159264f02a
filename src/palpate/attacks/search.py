"""The base of attacks that see only a model's outputs and search image by image."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from palpate.attacks.best_so_far import BestSoFar, try_images
from palpate.contracts import AttackResult, Limits, Task, Threat
from palpate.streams import Streams
from palpate.tensors import Tree
from palpate.victim import Victim

__all__ = ["Search"]


class Search(ABC):
    """An attack without gradients: a subclass writes `search`, which tries images and notes the best.

    Attributes:
        threat: what the attack may do.
        run_to_end: whether beaten samples continue.
    """

    threat: Threat
    run_to_end: bool = False

    def __call__(
        self,
        victim: Victim,
        task: Task,
        images: Tensor,
        targets: Tree,
        *,
        generator: torch.Generator | Streams | None = None,
        start: Tensor | None = None,
        limits: Limits | None = None,
    ) -> AttackResult:
        """Attack `images` (B, C, *spatial) in stored values; see `palpate.contracts.Attack`."""
        streams = Streams.of(generator, len(images))
        with victim:
            best_so_far = BestSoFar(victim, task, self.threat, images, targets, self.run_to_end, limits)
            rows = best_so_far.open_rows()
            # A tuned search judges an image that wins once more.
            rows = rows[best_so_far.affordable(rows, cost=2)]
            if start is not None:
                try_images(best_so_far, rows, start)
            self.search(best_so_far, streams)
            return best_so_far.close()

    @abstractmethod
    def search(self, best_so_far: BestSoFar, streams: Streams) -> None:
        """Try images for the rows that are not finished (`best_so_far.open_rows`), and note each with its cost.

        A row whose queries are spent (`best_so_far.affordable`) is not tried any more.

        Args:
            best_so_far: the model, the task, the clean images, and the best image of each sample until now.
            streams: a source of randomness for each sample of the batch.
        """
