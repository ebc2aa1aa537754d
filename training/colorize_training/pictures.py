"""Pictures as measures, sheets and pages need them: as planes, as bytes, gray, coloured by the engine, as text."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from colorize_client import HintTiles, Options
from colorize_engine.colorizer import Colorizer, Embedding
from colorize_engine.colour.conversions import lab_to_srgb, srgb_to_lab
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from colorize_training.data import planes
from colorize_training.writing import replacing

HEADING = 18  # pixels above a sheet's columns


def to_bytes(rgb: Tensor) -> np.ndarray:
    """8-bit RGB (H, W, 3) of planes (1, 3, H, W) in 0..1."""
    return (rgb[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()


def recolour(lightness: Tensor, ab: Tensor) -> Tensor:
    """RGB (B, 3, H, W) of L (B, 1, H, W) and ab (B, 2, h, w) of any size, quantized to 8 bits."""
    ab = F.interpolate(ab, lightness.shape[2:], mode="bilinear", align_corners=False)
    return (lab_to_srgb(torch.cat([lightness, ab], 1)) * 255).round() / 255


def gray_of(rgb: np.ndarray) -> np.ndarray:
    """The gray plane (H, W) uint16 that has the L of 8-bit RGB (H, W, 3)."""
    lab = srgb_to_lab(planes(rgb))
    lab[1:] = 0
    return (lab_to_srgb(lab)[0] * 65535).round().to(torch.int32).numpy().astype(np.uint16)


def shown_gray(gray: np.ndarray) -> np.ndarray:
    """8-bit RGB (H, W, 3) of a gray plane (H, W) uint16."""
    return (gray[..., None] / 257).round().astype(np.uint8).repeat(3, 2)


def coloured(
    colorizer: Colorizer, embedding: Embedding, options: Options, hints: HintTiles | None = None
) -> np.ndarray:
    """8-bit RGB (H, W, 3) of the photograph that `colorizer` made the embedding of."""
    prediction = colorizer.predict(embedding, hints, options)
    return np.concatenate([band for _, band in colorizer.render(embedding, prediction)])


def draw_sheet(rows: list[np.ndarray], headings: Sequence[str], path: Path) -> None:
    """Rows (H, W, 3) uint8 of equally wide pictures below each other, under a heading for each column."""
    picture = np.concatenate([np.full((HEADING, rows[0].shape[1], 3), 255, np.uint8), *rows])
    sheet = Image.fromarray(picture)
    draw, column = ImageDraw.Draw(sheet), sheet.width // len(headings)
    for number, heading in enumerate(headings):
        draw.text((number * column + 4, 2), heading, fill=(0, 0, 0), font=ImageFont.load_default(12))
    with replacing(path) as part:
        sheet.save(part)


def jpeg_uri(rgb: np.ndarray, quality: int) -> str:
    """A data: URI; chroma keeps its full resolution, since colour is what is judged."""
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling="4:4:4")
    return data_uri(file.getvalue(), "jpeg")


def data_uri(data: bytes, kind: str) -> str:
    """An image file of this kind, as "jpeg", as a data: URI."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
