"""What the engine asks of a network."""

from dataclasses import asdict
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

CHROMA_STRIDE = 2  # of hint planes and of the chroma that a network gives: half the picture's sides


class ServedNetwork(nn.Module):
    """A network whose heavy part is done once a photograph and whose light part is done for every change of hints.

    `Config` is a frozen dataclass of sizes, stored in the weights' metadata; `stride` divides the sides of every
    picture that the engine gives.
    """

    Config: ClassVar[type]
    stride: ClassVar[int]
    config: Any  # a Config

    def __init__(self, config: Any = None) -> None:
        super().__init__()
        self.config = config or self.Config()

    def encode(self, lightness: Tensor) -> tuple[Tensor, ...]:
        """The heavy part: L (B, 1, H, W) in 0..100 -> all that the light part needs of the photograph."""
        raise NotImplementedError

    def decode(self, embedding: Any, hints: Tensor) -> tuple[Tensor, ...]:
        """The light part: hint planes (B, 3, H/2, W/2) with mean a, b in CIELAB units and coverage 0..1 -> output."""
        raise NotImplementedError

    def chroma(self, output: Any, temperature: float) -> Tensor:
        """ab (B, 2, H/2, W/2) in CIELAB units; where there is a choice, temperature 1 is cautious, lower more vivid."""
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
