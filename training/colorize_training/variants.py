"""`chroma` built otherwise, to compare with. The service cannot hold these."""

import torch
from colorize_engine.colour.constants import AB_SCALE
from colorize_engine.networks.chroma import Chroma, ChromaConfig, Embedding, Output, pool_hints
from torch import Tensor, nn


class EarlyChroma(Chroma):
    """Hints join the encoder's features at stride 2 too: a stroke costs the whole network."""

    def __init__(self, config: ChromaConfig | None = None) -> None:
        super().__init__(config)
        self.hints_early = nn.Conv2d(6, self.encoder.CHANNELS[2], 3, padding=1)
        nn.init.zeros_(self.hints_early.weight)
        nn.init.zeros_(self.hints_early.get_parameter("bias"))

    def encode(self, lightness: Tensor) -> Embedding:
        """The lightness itself in the places of features: the encoder waits for the hints."""
        return Embedding(*[lightness] * len(Embedding._fields))

    def decode(self, embedding: Embedding, hints: Tensor) -> Output:
        joined = self.hints_early(pool_hints(hints, 1))
        with self.encoder.stages[0].register_forward_hook(lambda _, inputs, features: features + joined):
            levels = super().encode(embedding.at2.expand(len(hints), -1, -1, -1))
        return super().decode(levels, hints)


class PaletteChroma(Chroma):
    """What all hints say together, their mean colour and how much they cover, reaches every token."""

    def __init__(self, config: ChromaConfig | None = None) -> None:
        super().__init__(config)
        self.palette = nn.Linear(4, self.config.width)
        nn.init.zeros_(self.palette.weight)
        nn.init.zeros_(self.palette.get_parameter("bias"))

    def decode(self, embedding: Embedding, hints: Tensor) -> Output:
        coverage = hints[:, 2:3]
        ab, share = (hints[:, :2] / AB_SCALE * coverage).mean((2, 3)), coverage.mean((2, 3))
        summary = torch.cat([ab / share.clamp_min(1e-6), (share > 0).to(share), share], 1)  # (B, 4)
        at16 = embedding.at16 + self.palette(summary)[..., None, None]
        return super().decode(embedding._replace(at16=at16), hints)


VARIANTS = {"": Chroma, "early-hints": EarlyChroma, "global-palette": PaletteChroma}
