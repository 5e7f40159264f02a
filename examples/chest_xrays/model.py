"""The network of this example: four convolutions on X-rays of 28 x 28 pixels."""

from torch import Tensor, nn


class Network(nn.Module):
    """Logits of `normal` and `pneumonia` (B, 2) from normalised X-rays (B, 1, 28, 28)."""

    def __init__(self) -> None:
        super().__init__()
        widths, layers = (1, 16, 24, 32, 48), []
        for place in range(4):
            layers += [
                nn.Conv2d(widths[place], widths[place + 1], 3, padding=1, stride=1 + place % 2, bias=False),
                nn.BatchNorm2d(widths[place + 1]),
                nn.ReLU(),
            ]
        self.features, self.head = nn.Sequential(*layers), nn.Linear(48, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2)."""
        return self.head(self.features(images).mean((2, 3)))


def build() -> nn.Module:
    """The network without weights."""
    return Network()
