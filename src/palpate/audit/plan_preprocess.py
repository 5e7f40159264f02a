"""`[model.preprocess]` of a plan: from stored values to the network's input."""

from __future__ import annotations

from pydantic import Field

from palpate.audit.sections import Section
from palpate.preprocess import Preprocess


class PreprocessSection(Section):
    """`[model.preprocess]`: from stored values to the network's input, in this order."""

    size: tuple[int, ...] | None = Field(default=None, examples=["size = [224, 224]"])
    """Height and width of the network's input; none keeps the stored size."""
    channels: int | None = Field(default=None, ge=1, examples=["channels = 3"])
    """Repeat a grey image to this many channels."""
    mean: tuple[float, ...] = Field(default=(0.0,), examples=["mean = [127.5]"])
    """Subtracted, in stored values; one number, or one per channel."""
    std: tuple[float, ...] = Field(default=(1.0,), examples=["std = [127.5]"])
    """Divided by, in stored values; one number, or one per channel."""

    @property
    def window_values(self) -> tuple[float, float] | None:
        """Lowest and highest value that the model looks at, where a window is among the steps."""
        return None

    def build(self) -> Preprocess:
        """The preprocessing that these fields describe; raises InputError where they cannot be used."""
        return Preprocess(self.size, self.channels, self.mean, self.std)
