"""From chroma on a small grid to pixels: any rectangle of the photograph, or all of it in bands.

The pixels of a rectangle are bit for bit those of the whole. The compiled functions do it where there are some for
this machine (`colorize_engine.native`), PyTorch elsewhere; the two differ by a level here and there.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Protocol

import numpy as np
import torch
from colorize_client.tiling import Rectangle
from torch import Tensor

from colorize_engine import guided_lift
from colorize_engine.colour import conversions, gamut
from colorize_engine.colour.constants import XYZ_TO_RGB
from colorize_engine.colour.rows import encode_curve
from colorize_engine.guided_lift import GuidedLift
from colorize_engine.native import functions
from colorize_engine.windows import Detail

# Pixels of a band: large enough to be worth a message, small enough that a few of them in flight are nothing.
BAND_PIXELS = 1 << 18


class Renderer(Protocol):
    """A photograph of height x width pixels with its chroma, ready to be rendered. May be used from several threads."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def rectangle(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Pixels (height, width, C) of a rectangle, an array of its own. ValueError where it is not within."""


@torch.inference_mode()
def renderer(lightness: Tensor, ab: Tensor, gray: np.ndarray, layout: str, details: Sequence[Detail] = ()) -> Renderer:
    """What renders a photograph.

    Args:
        lightness: L (h, w) of the chroma grid, float32, on any device.
        ab: chroma (2, h, w), float32; NaN and Inf are taken as gray.
        gray: the photograph (H, W), sRGB-encoded luminance, uint8 or uint16; must not change.
        layout: "rgb8", "rgb16" or "ab16", see `gamut.render`.
        details: laid over the chroma, in this order.

    Raises:
        KeyError: an unknown layout. TypeError: gray of another type.
    """
    conversions.check_gray(gray)
    library = functions.library()
    if library is None:
        return TorchRenderer(lightness, ab, gray, layout, details)
    colours = _colours(int(np.iinfo(gray.dtype).max) + 1)
    whole = _model(lightness, ab, *gray.shape)
    parts = [_model(d.lightness, _planes(d), d.window.height, d.window.width, d.window.x, d.window.y) for d in details]
    return functions.Rendering(library, colours, whole, parts, gray, layout)


def _planes(detail: Detail) -> Tensor:
    return torch.cat([detail.ab, detail.reach[None]])


def _model(lightness: Tensor, planes: Tensor, height: int, width: int, x: int = 0, y: int = 0) -> functions.Model:
    slope, offset = guided_lift.model(lightness.cpu(), planes.cpu())
    rows, columns = lightness.shape
    cells = np.empty((rows, columns, 2 * len(planes)), np.float32)
    cells[..., ::2], cells[..., 1::2] = (each.numpy().transpose(1, 2, 0) for each in (slope, offset))
    return functions.Model(cells, guided_lift.places(rows, height), guided_lift.places(columns, width), x, y)


@cache
def _colours(levels: int) -> functions.Colours:
    cpu = torch.device("cpu")
    return functions.Colours(
        lightness=conversions.lightness_table(levels).numpy(),
        border=gamut.border_table(cpu).numpy(),
        bytes=gamut.encode_table(cpu).numpy(),
        curve=encode_curve(),
        mixing=XYZ_TO_RGB[:, [0, 2]],
    )


class TorchRenderer:
    """The same in PyTorch: for machines without the compiled functions, and what those are compared with."""

    def __init__(
        self, lightness: Tensor, ab: Tensor, gray: np.ndarray, layout: str, details: Sequence[Detail] = ()
    ) -> None:
        self.height, self.width = gray.shape
        self._lift = GuidedLift(lightness.cpu(), ab.cpu(), self.height, self.width)
        self._details = [_DetailLift(detail) for detail in details]
        self._gray, self._layout = gray, layout
        gamut.LAYOUTS[layout]

    @torch.inference_mode()
    def rectangle(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """See `Renderer`."""
        functions.check_rectangle((x, y, width, height), self.width, self.height)
        lightness = conversions.gray_to_lightness(self._gray[y : y + height, x : x + width])
        ab = self._lift.rows(y, y + height, lightness, x)
        for detail in self._details:
            detail.blend(ab, x, y, lightness)
        return gamut.render_band(lightness, ab, self._layout)


class _DetailLift:
    """Lays a detail over parts of the whole photograph's chroma."""

    def __init__(self, detail: Detail) -> None:
        self.window = detail.window
        self.lift = GuidedLift(detail.lightness.cpu(), _planes(detail).cpu(), detail.window.height, detail.window.width)

    def blend(self, ab: Tensor, left: int, top: int, lightness: Tensor) -> None:
        """Into ab (2, h, w), whose corner lies at (left, top), in place; lightness (h, w)."""
        x, y, width, height = self.window
        first, last = max(left, x), min(left + ab.shape[2], x + width)
        upper, lower = max(top, y), min(top + ab.shape[1], y + height)
        if first >= last or upper >= lower:
            return
        place = np.s_[upper - top : lower - top, first - left : last - left]
        lifted = self.lift.rows(upper - y, lower - y, lightness[place].contiguous(), first - x)
        ab[:, *place].lerp_(lifted[:2], lifted[2].clamp(0, 1))


def bands(whole: Renderer) -> Iterator[tuple[int, np.ndarray]]:
    """All of a photograph, band by band, see `in_order`.

    Yields:
        (first row, pixels (rows, W, C)) from top to bottom.
    """
    step = max(BAND_PIXELS // whole.width, 1)
    tops = range(0, whole.height, step)
    places = [(0, top, whole.width, min(step, whole.height - top)) for top in tops]
    yield from ((y, pixels) for (_, y, _, _), pixels in in_order(whole, places))


def in_order(whole: Renderer, rectangles: Iterable[Rectangle]) -> Iterator[tuple[Rectangle, np.ndarray]]:
    """Rectangles (x, y, width, height) of a photograph and their pixels, on as many threads as torch uses.

    No more of them are in memory than threads, plus one.
    """
    workers = torch.get_num_threads()
    waiting: deque[tuple[Rectangle, Future[np.ndarray]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="lift")
    try:
        for place in rectangles:
            waiting.append((place, pool.submit(whole.rectangle, *place)))
            if len(waiting) > workers:
                place, pixels = waiting.popleft()
                yield place, pixels.result()
        for place, pixels in waiting:
            yield place, pixels.result()
    finally:
        pool.shutdown(cancel_futures=True)
