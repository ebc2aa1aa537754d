"""Strokes from a picture, hints or what is kept: what is painted on it, cut into tiles."""

from pathlib import Path

import numpy as np
import pyvips
from colorize_client import HintTiles
from colorize_client.tiling import cut

from colorize_cli import profiles
from colorize_cli.opening import Opened, open_picture, refusal_of
from colorize_cli.problems import PictureError

# Two sizes have the same aspect where scaling one to the other misses by at most this share: a pixel in a thousand.
ASPECT_TOLERANCE = 1e-3
_PAINTED_ALL_OVER = (
    "it is opaque all over, so every colour of the photograph would be painted; save the strokes alone, painted on "
    "transparency"
)


class Strokes:
    """The pixels of a picture of strokes, 8-bit RGBA in sRGB, to be laid over photographs."""

    def __init__(self, path: Path, rgba: np.ndarray) -> None:
        self.path = path
        self._rgba = rgba

    def over(self, width: int, height: int) -> HintTiles:
        """The painted areas over a photograph of width x height, seen upright; no tiles where nothing is painted.

        A picture of another size but the same aspect is scaled, its colours weighted by their alpha. Raises
        PictureError: another aspect.
        """
        own_height, own_width, _ = self._rgba.shape
        if (own_width, own_height) == (width, height):
            return _cut(self._rgba)
        _check_aspect(self.path, own_width, own_height, width, height)
        return _cut(_scaled(self._rgba, width, height))


def read_strokes(path: Path) -> Strokes:
    """Strokes painted on transparency, hints or what is kept.

    Raises PictureError, which names this file: unreadable, no transparency, or painted all over.
    """
    opened = open_picture(path)
    if opened.alpha is None:
        raise PictureError(path, "it has no transparent areas, so nothing says what is painted; save it with alpha")
    try:
        rgba = _rgba(opened).numpy()
    except pyvips.Error as error:
        raise PictureError(path, refusal_of(path, error)) from error
    height, width, _ = rgba.shape
    if _cut(rgba).cover_all(width, height):
        raise PictureError(path, _PAINTED_ALL_OVER)
    return Strokes(path, rgba)


def _check_aspect(path: Path, own_width: int, own_height: int, width: int, height: int) -> None:
    across, down = width / own_width, height / own_height
    one_pixel = max(1.0 / own_width, 1.0 / own_height)
    if abs(across / down - 1.0) > max(ASPECT_TOLERANCE, one_pixel):
        reason = (
            f"it has {own_width} x {own_height} pixels and the photograph {width} x {height}; "
            "paint on a layer of the photograph's size"
        )
        raise PictureError(path, reason)


def _rgba(opened: Opened) -> pyvips.Image:
    """8-bit RGBA in sRGB, upright."""
    whole = opened.image.autorot()
    image = whole[: opened.channels].bandjoin(whole[opened.alpha]).copy(interpretation=whole.interpretation)
    if not _in_other_profile(image):
        return image.colourspace("srgb")
    eight = image if image.format == "uchar" else image.colourspace("srgb")
    colours = profiles.to_srgb(image[: image.bands - 1]).colourspace("srgb")
    return colours.bandjoin(eight[eight.bands - 1])


def _in_other_profile(image: pyvips.Image) -> bool:
    profile = profiles.embedded(image)
    if profile is None:
        return False
    try:
        return not profiles.is_srgb(profile, image.bands - 1)
    except profiles.BrokenProfile:  # then the colours are what a program without colour management showed
        return False


def _scaled(rgba: np.ndarray, width: int, height: int) -> np.ndarray:
    image = pyvips.Image.new_from_array(rgba).copy(interpretation="srgb")
    across, down = width / image.width, height / image.height
    scaled = image.premultiply().resize(across, vscale=down, kernel="linear").unpremultiply()
    return scaled.rint().cast("uchar").crop(0, 0, width, height).numpy()


def _cut(rgba: np.ndarray) -> HintTiles:
    """Tiles over all that is not fully transparent."""
    height, width, _ = rgba.shape
    tiles, data = [], []
    for x, y, w, h in cut(width, height):
        tile = rgba[y : y + h, x : x + w]
        if tile[..., 3].any():
            tiles.append((x, y, w, h))
            data.append(tile.tobytes())
    return HintTiles(tiles, data)
