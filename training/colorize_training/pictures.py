"""8-bit pictures as measures and pages need them: without colour, coloured by the engine, and as text within a page."""

import base64
import io

import numpy as np
import torch
from colorize_client import HintTiles
from colorize_engine.colorizer import Colorizer, Embedding
from colorize_engine.colour.conversions import lab_to_srgb, srgb_to_lab
from PIL import Image

from colorize_training.data import planes


def gray_of(rgb: np.ndarray) -> np.ndarray:
    """The gray plane (H, W) uint16 that has the L of 8-bit RGB (H, W, 3)."""
    lab = srgb_to_lab(planes(rgb))
    lab[1:] = 0
    return (lab_to_srgb(lab)[0] * 65535).round().to(torch.int32).numpy().astype(np.uint16)


def shown_gray(gray: np.ndarray) -> np.ndarray:
    """8-bit RGB (H, W, 3) of a gray plane (H, W) uint16."""
    return (gray[..., None] / 257).round().astype(np.uint8).repeat(3, 2)


def coloured(
    colorizer: Colorizer, embedding: Embedding, temperature: float, hints: HintTiles | None = None
) -> np.ndarray:
    """8-bit RGB (H, W, 3) of the photograph that `colorizer` made the embedding of."""
    prediction = colorizer.predict(embedding, hints, temperature=temperature)
    return np.concatenate([band for _, band in colorizer.render(embedding, prediction)])


def jpeg_uri(rgb: np.ndarray, quality: int) -> str:
    """A data: URI; chroma keeps its full resolution, since colour is what is judged."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling="4:4:4")
    return data_uri(file.getvalue(), "jpeg")


def data_uri(data: bytes, kind: str) -> str:
    """An image file of this kind, as "jpeg", as a data: URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
