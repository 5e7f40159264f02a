"""One stream of random numbers per sample, so that a draw never depends on who else is in the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Streams:
    """Random numbers per sample. Numbers are drawn on the CPU, so every device sees the same ones.

    A sample that leaves the batch takes its stream along; the others' draws do not change.
    """

    def __init__(self, seeds: Sequence[int]):
        self.seeds = tuple(int(seed) for seed in seeds)
        self._generators = [torch.Generator().manual_seed(seed) for seed in self.seeds]

    @classmethod
    def of(cls, source: torch.Generator | Streams | None, count: int) -> Streams:
        """Streams for `count` samples: drawn from a generator, passed through, or from seed 0 where there is none.

        Raises:
            ValueError: `source` is streams for another number of samples.
        """
        if isinstance(source, Streams):
            if len(source.seeds) != count:
                raise ValueError(f"{len(source.seeds)} streams were given for {count} samples")
            return source
        generator = torch.Generator().manual_seed(0) if source is None else source
        device = generator.device
        return cls(torch.randint(2**62, (count,), generator=generator, device=device).tolist())

    def take(self, rows: Tensor) -> Streams:
        """The streams of some rows; they go on where they are."""
        chosen = Streams(())
        positions = rows.tolist()
        chosen.seeds = tuple(self.seeds[i] for i in positions)
        chosen._generators = [self._generators[i] for i in positions]
        return chosen

    def places(self) -> tuple[Tensor, ...]:
        """The position of each stream; it changes with every draw."""
        return tuple(generator.get_state() for generator in self._generators)

    def uniform(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1) of shape (B, *shape), on the device and of the type of `like`."""
        draws = [torch.rand(tuple(shape), generator=g, dtype=like.dtype) for g in self._generators]
        return torch.stack(draws).to(like.device) if draws else like.new_empty((0, *shape))

    def normal(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """Standard normal numbers of shape (B, *shape), on the device and of the type of `like`."""
        draws = [torch.randn(tuple(shape), generator=g, dtype=like.dtype) for g in self._generators]
        return torch.stack(draws).to(like.device) if draws else like.new_empty((0, *shape))
