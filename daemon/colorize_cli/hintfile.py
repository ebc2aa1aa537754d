"""Strokes from a picture, hints or what is kept: what is painted on it, cut into tiles."""

from pathlib import Path

import numpy as np
import pyvips
from colorize_client import HintTiles

from colorize_cli import profiles
from colorize_cli.opening import open_picture
from colorize_cli.problems import PictureError

TILE_SIDE = 256
# Two sizes have the same aspect where scaling one to the other misses by at most this share: a pixel in a thousand.
ASPECT_TOLERANCE = 1e-3


def read_hints(path: Path, width: int, height: int) -> HintTiles:
    """The painted areas of a transparent picture, over a photograph of width x height seen upright.

    A picture of another size but the same aspect is scaled, its colours weighted by their alpha. Where all is
    transparent there are no tiles. Raises PictureError: unreadable, no transparency, another aspect.
    """
    image = open_picture(path).image.autorot()
    if not image.hasalpha():
        raise PictureError(path, "it has no transparent areas, so nothing says what is painted; save it with alpha")
    _check_aspect(path, image, width, height)
    try:
        return _cut(_scaled(_rgba(image), width, height).numpy())
    except pyvips.Error as error:
        raise PictureError(path, f"it cannot be read ({error.detail.strip()}); save it as PNG again") from error


def _check_aspect(path: Path, image: pyvips.Image, width: int, height: int) -> None:
    across, down = width / image.width, height / image.height
    one_pixel = max(1.0 / image.width, 1.0 / image.height)
    if abs(across / down - 1.0) > max(ASPECT_TOLERANCE, one_pixel):
        reason = (
            f"it has {image.width} x {image.height} pixels and the photograph {width} x {height}; "
            "paint on a layer of the photograph's size"
        )
        raise PictureError(path, reason)


def _rgba(image: pyvips.Image) -> pyvips.Image:
    """8-bit RGBA in sRGB."""
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


def _scaled(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    if (image.width, image.height) == (width, height):
        return image
    across, down = width / image.width, height / image.height
    scaled = image.premultiply().resize(across, vscale=down, kernel="linear").unpremultiply()
    return scaled.rint().cast("uchar").crop(0, 0, width, height)


def _cut(rgba: np.ndarray) -> HintTiles:
    """Tiles of TILE_SIDE over all that is not fully transparent."""
    height, width, _ = rgba.shape
    tiles, data = [], []
    for y in range(0, height, TILE_SIDE):
        for x in range(0, width, TILE_SIDE):
            tile = rgba[y : y + TILE_SIDE, x : x + TILE_SIDE]
            if tile[..., 3].any():
                tiles.append((x, y, tile.shape[1], tile.shape[0]))
                data.append(tile.tobytes())
    return HintTiles(tiles, data)
