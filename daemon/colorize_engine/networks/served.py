"""What the engine asks of a network."""

from dataclasses import asdict
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

CHROMA_STRIDE = 2  # of hint planes and of the chroma that a network gives: half the picture's sides
# Hint planes: mean a and b of the hints in a cell (CIELAB units, 0 where there is none) and the cell's coverage 0..1;
# coverage by strokes that say "not this"; 1 everywhere where alike things elsewhere are meant too, else 0.
HINT_PLANES, ALIKE_PLANE = 5, 4


class ServedNetwork(nn.Module):
    """A network whose heavy part is done once a photograph and whose light part is done for every change of hints.

    `Config` is a frozen dataclass of sizes, stored in the weights' metadata; `stride` divides the sides of every
    picture that the engine gives.
    """

    Config: ClassVar[type]
    stride: ClassVar[int]
    knows_reach: ClassVar[bool] = False  # it has an answer for `reached`
    config: Any  # a Config

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = config or self.Config()

    def encode(self, lightness: Tensor) -> tuple[Tensor, ...]:
        """The heavy part: L (B, 1, H, W) in 0..100 -> all that the light part needs of the photograph."""
        raise NotImplementedError

    def decode(self, embedding: Any, hints: Tensor) -> tuple[Tensor, ...]:
        """The light part: hint planes (B, HINT_PLANES, H/2, W/2) -> output."""
        raise NotImplementedError

    def chroma(self, output: Any, temperature: float) -> Tensor:
        """ab (B, 2, H/2, W/2) in CIELAB units; where there is a choice, temperature 1 is cautious, lower more vivid."""
        raise NotImplementedError

    def reached(self, output: Any) -> Tensor:
        """(B, H/2, W/2), 0..1: how surely a cell belongs to what the hints lie on. Only where `knows_reach`."""
        raise NotImplementedError

    def forward(self, lightness: Tensor, hints: Tensor) -> tuple[Tensor, ...]:
        return self.decode(self.encode(lightness), hints)

    def metadata(self) -> dict[str, Any]:
        """The configuration, from which `networks.build` makes the same network."""
        return asdict(self.config)


class AutomaticNetwork(ServedNetwork):
    """A network that knows lightness alone; hints reach its picture through the engine, which spreads them.

    A subclass defines `predict` and `colour`.
    """

    def predict(self, lightness: Tensor) -> Tensor:
        """The whole network: L (B, 1, H, W) in 0..100 -> its own output (B, C, h, w); what training learns from."""
        raise NotImplementedError

    def colour(self, prediction: Tensor, lightness: Tensor, temperature: float) -> Tensor:
        """ab (B, 2, h, w) in CIELAB units of `prediction`, for a photograph of this lightness (B, 1, H, W)."""
        raise NotImplementedError

    def encode(self, lightness: Tensor) -> tuple[Tensor, ...]:
        return self.predict(lightness), lightness

    def decode(self, embedding: tuple[Tensor, ...], hints: Tensor) -> tuple[Tensor, ...]:
        return embedding

    def chroma(self, output: tuple[Tensor, ...], temperature: float) -> Tensor:
        prediction, lightness = output
        return to_chroma_grid(self.colour(prediction, lightness, temperature), lightness)


def to_chroma_grid(ab: Tensor, lightness: Tensor) -> Tensor:
    """ab (B, 2, h, w) at any resolution -> (B, 2, H/2, W/2) of a picture (B, 1, H, W): averaged, or interpolated."""
    height, width = (side // CHROMA_STRIDE for side in lightness.shape[2:])
    if ab.shape[2] >= height:
        return F.adaptive_avg_pool2d(ab, (height, width))
    return F.interpolate(ab, (height, width), mode="bilinear", align_corners=False)
