"""The engine: `set_image` once, `predict` as often as hints change, `render` to full size.

This is the one border between arrays and tensors; networks know nothing of requests, requests nothing of networks.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch
from colorize_client import HintTiles, Options
from colorize_client.options import CAUTIOUS
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from colorize_engine import rendering, weights
from colorize_engine.colour.conversions import gray_to_lightness
from colorize_engine.composition import Answer, compose, join, nothing_around
from colorize_engine.hints import HintGrid, rasterize
from colorize_engine.margins import flat_margins
from colorize_engine.network_input import NetworkInput, reduce_gray
from colorize_engine.networks.served import ALIKE_PLANE, CHROMA_STRIDE, HINT_PLANES, ServedNetwork
from colorize_engine.rendering import Renderer
from colorize_engine.residual_spread import reach_across_edges
from colorize_engine.strokes import MOST, Stroke, grew_from, split
from colorize_engine.weights import WeightsRecord
from colorize_engine.windows import (
    Detail,
    Look,
    ShiftedTiles,
    Sight,
    Sketch,
    Window,
    ends_within,
    window_around,
)

BATCH = 8  # strokes that the network's light part takes at once
LARGER = 3.0  # by how much the ends of the option `reach` move a network's, in logits
KEPT_ANSWERS = 2 * MOST  # strokes of a photograph whose answers are kept
KEPT_WINDOWS = 4  # of a photograph
KEPT_STATES = 4  # predictions of a photograph, by name, that a client's tiles may still be of
KEPT_PLAIN = 2  # of a photograph: at the temperature that is set, and the cautious one
KEPT_LOOKS = 32  # strokes of a photograph whose windows need not be looked at again

DEFAULTS = Options()

Check = Callable[[], None]
Module = TypeVar("Module", bound=nn.Module)
Key = TypeVar("Key")
Value = TypeVar("Value")


class NoDevice(ValueError):
    """The machine has no such device; the text names those that it has."""


def _no_check() -> None:
    """For callers that never stop a step."""


@dataclass(frozen=True)
class Embedding:
    """A photograph as the engine keeps it: all that `predict` and `render` need.

    Attributes:
        gray: the plane (H, W) uint8 or uint16 that `set_image` was given.
        features: the network's embedding, on the device.
        unhinted: the network's output where there are no hints, on the device.
        answers: what the network said of the strokes painted last, see `Colorizer.predict`.
        windows: the surroundings of strokes on small things, at a finer scale.
        looks: what was said there of the strokes painted last.
        states: what was predicted last, by name; see `recall` and `changes`.
        plain: chroma (2, h, w) where there are no hints, on the device, by the temperatures asked for last.
        lightness: L (h, w) float32, 0..100, on the chroma grid, on the device.
        inside: (h, w) float32, 0..1, what of each cell is not flat margin, which stays neutral; on the device.
        size: of the network's picture of the photograph.
    """

    gray: np.ndarray
    features: tuple[Tensor, ...]
    unhinted: tuple[Tensor, ...]
    lightness: Tensor
    inside: Tensor
    size: NetworkInput
    answers: dict[tuple[bytes, bool], Answer] = field(default_factory=dict)
    windows: "dict[Window, Embedding]" = field(default_factory=dict)
    looks: dict[tuple[bytes, bool], Look] = field(default_factory=dict)
    states: "dict[str, Prediction]" = field(default_factory=dict)
    plain: dict[float, Tensor] = field(default_factory=dict)

    @property
    def height(self) -> int:
        return self.gray.shape[0]

    @property
    def width(self) -> int:
        return self.gray.shape[1]

    @property
    def nbytes(self) -> int:
        """With room for the answers, the windows and the chroma that will be kept."""
        own = sum(t.nbytes for t in (*self.features, *self.unhinted, self.lightness, self.inside))
        answers = (KEPT_ANSWERS + KEPT_LOOKS + 2 * (KEPT_STATES + KEPT_PLAIN)) * 3 * 2 * self.lightness.numel()
        return self.gray.nbytes + own + answers + KEPT_WINDOWS * own

    def remember(self, state: str, prediction: "Prediction") -> None:
        """Keep a prediction by its name, as long as it is among the last `KEPT_STATES`."""
        self.states[state] = prediction
        _keep(self.states, [state], KEPT_STATES)

    def recall(self, state: str) -> "Prediction | None":
        """The prediction of this name, which is kept for longer now; None where it is not known."""
        if state in self.states:
            _keep(self.states, [state], KEPT_STATES)
        return self.states.get(state)

    def rest(self) -> None:
        """Forget the windows, the largest part of what can be found again; what was said in them stays known."""
        self.windows.clear()


@dataclass(frozen=True)
class Prediction:
    """What `predict` found.

    Attributes:
        ab: chroma (2, h, w) float32 in CIELAB units on the chroma grid, on the device; may be outside the sRGB gamut.
        hint_cells: the number of the grid's cells that hints cover.
        details: small things, each on a finer grid of its own, which lie over it.
        draft: whether a stroke was answered by what lies under it alone.
    """

    ab: Tensor
    hint_cells: int
    details: tuple[Detail, ...] = ()
    draft: bool = False


class Colorizer:
    """A network on a device, ready for photographs."""

    def __init__(self, network: ServedNetwork, record: WeightsRecord, device: torch.device) -> None:
        self.record, self.device = record, device
        self.network = fuse_batch_norms(network).to(device).to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, record: WeightsRecord, device: str = "auto") -> "Colorizer":
        """Check and load weights.

        Args:
            record: from `weights.available` or `weights.read_record`.
            device: auto, cuda, mps or cpu, see `choose_device`.

        Raises:
            weights.BadWeights: the file is damaged, or of a recipe that this version does not know.
            NoDevice: the machine has no such device.
        """
        return cls(weights.load(record), record, choose_device(device))

    @torch.inference_mode()
    def set_image(self, gray: np.ndarray, check: Check = _no_check) -> Embedding:
        """Encode a photograph; the heavy step, once for each photograph.

        Args:
            gray: (H, W) uint8 or uint16, sRGB-encoded luminance; kept in the embedding, so it must not change.
            check: called between the steps; what it raises ends the work and passes through.

        Raises:
            ValueError, TypeError: the plane is of another type.
        """
        return self._encoded(gray, check)

    def _encoded(self, gray: np.ndarray, check: Check) -> Embedding:
        """A photograph, or a window of one."""
        height, width = gray.shape
        size = NetworkInput.fit(height, width, self.record.side, self.network.stride)
        reduced = reduce_gray(gray, size.height, size.width)
        levels = (reduced[0, 0] * 65535).round().to(torch.int32).numpy().astype(np.uint16)
        lightness = gray_to_lightness(levels)[None, None]  # (1, 1, height, width)
        check()
        features = self.network.encode(size.pad(lightness).to(self.device))
        check()
        grid = nn.functional.avg_pool2d(lightness, CHROMA_STRIDE)[0, 0].to(self.device)
        unhinted = self.network.decode(features, self._hint_planes(size, grid))
        margins = torch.from_numpy(flat_margins(lightness[0, 0].numpy()))
        inside = 1 - nn.functional.avg_pool2d(margins[None], CHROMA_STRIDE)[0].to(self.device)
        return Embedding(gray, features, unhinted, grid, inside, size)

    @torch.inference_mode()
    def predict(
        self,
        embedding: Embedding,
        hints: HintTiles | None = None,
        options: Options = DEFAULTS,
        check: Check = _no_check,
        kept: HintTiles | None = None,
        draft: bool = False,
    ) -> Prediction:
        """Chroma for hints and options; the light step, repeated for each change.

        Every stroke is answered by itself and the answer is kept, so a change costs one pass of the network's light
        part for each stroke that is new. Around hints the network is cautious whatever the temperature: the more is
        hinted, the less is guessed.

        Args:
            embedding: of this colorizer's `set_image`.
            hints: painted rectangles in the photograph's pixels; what lies outside is ignored. None for none.
            options: `saturation` scales the chroma that the network chose, not that of the hints; at `temperature` 1 it
                is cautious, lower is more vivid; with `alike` a stroke means everything like its thing; `reach` makes
                things smaller or larger; `model` is not read.
            check: as for `set_image`.
            kept: rectangles as `hints`, painted in any colour: the things under it stay as they are without strokes.
            draft: whether a stroke whose surroundings must be looked at again first colours what lies under it alone.

        Raises:
            ValueError: a tile's data does not have the tile's size.
        """
        grid, spared = _hint_grid(embedding, hints), _hint_grid(embedding, kept)
        check()
        plain = self._unhinted_chroma(embedding, options.temperature) * options.saturation
        if hints is None or grid is None:
            return Prediction(plain, 0)
        strokes = split(grid)
        sketched = self._sketched(embedding, strokes, options.alike) if draft else {}
        details, strokes = self._details(embedding, hints, strokes, sketched, options, check)
        asked = [stroke for stroke in strokes if stroke.key not in sketched]
        sparing = self._sparing(embedding, spared) if spared else []
        answers = self._answers(embedding, [*asked, *sparing], options.alike, check)
        answered, staying = iter(answers[: len(asked)]), answers[len(asked) :]
        colouring = [sketched[each.key].answer if each.key in sketched else next(answered) for each in strokes]
        pairs = list(zip(sparing, staying, strict=True))
        ab = compose(plain, strokes, colouring, pairs, options.saturation, _larger(options))
        return Prediction(ab, grid.cells, details, bool(sketched))

    def _sketched(self, embedding: Embedding, strokes: list[Stroke], alike: bool) -> dict[bytes, Sketch]:
        """By its key, each stroke whose window has to be looked at, as well as it can be drawn without."""
        grid, photograph = embedding.lightness.shape, embedding.gray.shape
        unseen = [
            stroke
            for stroke in strokes
            if (stroke.key, alike) not in embedding.looks and window_around(stroke, grid, photograph)
        ]
        return {stroke.key: self._sketch(embedding, stroke, alike) for stroke in unseen}

    def _sketch(self, embedding: Embedding, stroke: Stroke, alike: bool) -> Sketch:
        """What is known of the stroke that this one grew from; else it colours what lies under it, and nothing more."""
        for (key, its_alike), look in reversed(embedding.looks.items()):
            if its_alike == alike and grew_from(stroke, look.stroke):
                answer = embedding.answers.get((key, alike))
                return Sketch(answer or nothing_around(embedding.lightness), None if answer else look.sight)
        return Sketch(nothing_around(embedding.lightness), None)

    def _details(
        self,
        embedding: Embedding,
        hints: HintTiles,
        strokes: list[Stroke],
        sketched: dict[bytes, Sketch],
        options: Options,
        check: Check,
    ) -> tuple[tuple[Detail, ...], list[Stroke]]:
        """What strokes on small things make of them, and the other strokes, those that are sketched among them."""
        details, others = [], []
        for stroke in strokes:
            sketch = sketched.get(stroke.key)
            sight = sketch.sight if sketch else self._sight(embedding, hints, stroke, options.alike, check)
            detail = _detail(sight, options) if sight else None
            if detail:
                details.append(detail)
            if sketch or not detail:
                others.append(stroke)
        return tuple(details), others

    def _sight(self, embedding: Embedding, hints: HintTiles, stroke: Stroke, alike: bool, check: Check) -> Sight | None:
        """What a stroke's window shows, known from an earlier call or looked at now; None where it has none, or one
        that shows no paint."""
        known, key = embedding.looks, (stroke.key, alike)
        if key not in known:
            window = window_around(stroke, embedding.lightness.shape, embedding.gray.shape)
            if window is None:
                return None
            known[key] = Look(stroke, self._seen(embedding, hints, stroke, window, alike, check))
        _keep(known, [key], KEPT_LOOKS)
        return known[key].sight

    def _seen(
        self, embedding: Embedding, hints: HintTiles, stroke: Stroke, window: Window, alike: bool, check: Check
    ) -> Sight | None:
        near = self._window(embedding, window, check)
        tiles = ShiftedTiles([(x - window.x, y - window.y, w, h) for x, y, w, h in hints.tiles], list(hints.data))
        grid = rasterize(tiles, near.height, near.width, *near.lightness.shape)
        own = [each for each in split(grid) if _is_part(each, near, window, stroke, embedding)]
        return Sight(window, near.lightness, own, self._answers(near, own, alike, check)) if own else None

    def _window(self, embedding: Embedding, window: Window, check: Check) -> Embedding:
        """The window as a photograph of its own: known from an earlier call, or encoded now."""
        known = embedding.windows
        if window not in known:
            known[window] = self._encoded(window.cut(embedding.gray), check)
        _keep(known, [window], KEPT_WINDOWS)
        return known[window]

    def _sparing(self, embedding: Embedding, spared: HintGrid) -> list[Stroke]:
        """Strokes of the colour that the picture has there without strokes; pieces that hang together are one."""
        white = HintGrid(np.zeros_like(spared.ab), spared.coverage)
        expected = self._unhinted_chroma(embedding, CAUTIOUS).flatten(1).cpu().numpy()
        return [replace(stroke, ab=expected[:, stroke.cells]) for stroke in split(white)]

    def _answers(self, embedding: Embedding, strokes: list[Stroke], alike: bool, check: Check) -> list[Answer]:
        """What the network says of each stroke: known from an earlier call, or asked for now."""
        known, keys = embedding.answers, [(stroke.key, alike) for stroke in strokes]
        new = [number for number, key in enumerate(keys) if key not in known]
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            found = self._ask(embedding, [strokes[number] for number in batch], alike)
            known.update(zip((keys[number] for number in batch), found, strict=True))
            check()
        answers = [known[key] for key in keys]
        _keep(known, keys, KEPT_ANSWERS)
        return answers

    def _ask(self, embedding: Embedding, strokes: list[Stroke], alike: bool) -> list[Answer]:
        planes = torch.cat([self._hint_planes(embedding.size, embedding.lightness, stroke) for stroke in strokes])
        planes[:, ALIKE_PLANE] = float(alike)
        output = self.network.decode(embedding.features, planes)
        height, width = embedding.lightness.shape
        ab = self.network.chroma(output, CAUTIOUS)[:, :, :height, :width].expand(len(strokes), -1, -1, -1)
        if self.network.knows_reach:
            reach = self.network.reached(output)[:, :height, :width]
        else:
            reach = torch.stack([reach_across_edges(stroke, embedding.lightness) for stroke in strokes])
        return [Answer(*parts) for parts in zip(reach.half(), ab.half(), strict=True)]

    @torch.inference_mode()
    def render(
        self, embedding: Embedding, prediction: Prediction, layout: str = "rgb8", check: Check = _no_check
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The photograph with this chroma at full size, in bands of rows from top to bottom.

        Args:
            embedding: of the photograph.
            prediction: of `predict` for this embedding; pulled into the sRGB gamut at constant lightness and hue.
            layout: "rgb8" (rows, W, 3) uint8 or "rgb16" uint16, sRGB-encoded with the photograph's own L; or "ab16"
                (rows, W, 2) int16, 256 steps per unit of ab.
            check: called before each band; what it raises ends the work and passes through.

        Yields:
            (y, band): the first row and the rows' pixels, each band an array of its own.

        Raises:
            KeyError: an unknown layout.
        """
        for y, band in rendering.bands(self.renderer(embedding, prediction, layout)):
            check()
            yield y, band

    def render_tiles(
        self,
        embedding: Embedding,
        prediction: Prediction,
        layout: str,
        tiles: Sequence[tuple[int, int, int, int]],
        check: Check = _no_check,
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """Parts of what `render` makes, bit for bit, in the order of `tiles` (x, y, width, height).

        Yields:
            (x, y, pixels): pixels (height, width, C).
        """
        for (x, y, _, _), pixels in rendering.in_order(self.renderer(embedding, prediction, layout), tiles):
            check()
            yield x, y, pixels

    def renderer(self, embedding: Embedding, prediction: Prediction, layout: str = "rgb8") -> Renderer:
        """What renders any rectangle of the photograph with this chroma, bit for bit as `render` does the whole.

        Args:
            embedding, prediction, layout: as for `render`.

        Returns:
            An object whose `rectangle(x, y, width, height)` gives pixels (height, width, C); from any thread.

        Raises:
            KeyError: an unknown layout.
        """
        return rendering.renderer(embedding.lightness, prediction.ab, embedding.gray, layout, prediction.details)

    def _unhinted_chroma(self, embedding: Embedding, temperature: float) -> Tensor:
        """ab (2, h, w) of the picture without strokes on the chroma grid; flat margins are neutral."""
        known, (height, width) = embedding.plain, embedding.lightness.shape
        if temperature not in known:
            ab = self.network.chroma(embedding.unhinted, temperature)[0, :, :height, :width]
            known[temperature] = ab.float() * embedding.inside
        _keep(known, [temperature], KEPT_PLAIN)
        return known[temperature]

    def _hint_planes(self, size: NetworkInput, lightness: Tensor, stroke: Stroke | None = None) -> Tensor:
        """Hint planes (1, HINT_PLANES, h, w) of the padded picture, on the device, for one stroke or for none."""
        height, width = (side // CHROMA_STRIDE for side in size.padded)
        planes = torch.zeros(1, HINT_PLANES, height, width, device=self.device)
        if stroke is not None:
            y, x = (
                torch.from_numpy(place).to(self.device) for place in np.unravel_index(stroke.cells, lightness.shape)
            )
            planes[0, :2, y, x] = torch.from_numpy(stroke.ab).to(self.device)
            planes[0, 2, y, x] = torch.from_numpy(stroke.coverage).to(self.device)
        return planes


def _keep(known: dict[Key, Value], used: list[Key], most: int) -> None:
    """Leave in `known` the `most` entries that were used last, these among them, the newest at the end."""
    for key in used:
        known[key] = known.pop(key)
    for key in list(known)[:-most]:
        del known[key]


def _detail(sight: Sight, options: Options) -> Detail | None:
    """What strokes make of a small thing in their window; None where they lie on a larger one."""
    ab, reach, _ = join(sight.strokes, sight.answers, options.saturation, _larger(options))
    return Detail(sight.window, sight.lightness, ab, reach) if ends_within(reach) else None


def _larger(options: Options) -> float:
    """The option `reach` as a factor on the odds that a cell belongs to a stroke's thing."""
    return math.exp(LARGER * (2 * options.reach - 1))


def _is_part(part: Stroke, near: Embedding, window: Window, stroke: Stroke, whole: Embedding) -> bool:
    """Whether a stroke of a window's grid is what a stroke of the whole picture's grid shows there."""
    y, x = np.unravel_index(part.cells, near.lightness.shape)
    rows = (window.y + (y + 0.5) * near.height / near.lightness.shape[0]) * whole.lightness.shape[0] / whole.height
    columns = (window.x + (x + 0.5) * near.width / near.lightness.shape[1]) * whole.lightness.shape[1] / whole.width
    cells = np.ravel_multi_index((rows.astype(int), columns.astype(int)), whole.lightness.shape, mode="clip")
    return bool(np.isin(cells, stroke.cells).any())


def _hint_grid(embedding: Embedding, hints: HintTiles | None) -> HintGrid | None:
    """What was painted, on the chroma grid; None where nothing was."""
    if hints is None:
        return None
    grid = rasterize(hints, embedding.height, embedding.width, *embedding.lightness.shape)
    return grid if grid.cells else None


def choose_device(name: str) -> torch.device:
    """The device for `name`; auto takes CUDA, then MPS, then the CPU. Raises NoDevice where it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, usable in there.items() if usable))
    if not there.get(name.split(":")[0]):
        raise NoDevice(
            f"this machine has no device {name!r}; choose one of {', '.join(k for k, v in there.items() if v)}"
        )
    return torch.device(name)


def use_threads(count: int) -> None:
    """Let torch compute on so many threads in what this thread asks of it from here on."""
    if torch.get_num_threads() != count:  # to set it costs what torch has kept ready
        torch.set_num_threads(count)


def card_name() -> str:
    """The name of the card that "cuda" means; "" where its driver fails, which loading a model will say."""
    try:
        return torch.cuda.get_device_name()
    except RuntimeError:
        return ""


def release_memory() -> None:
    """Give the memory of a card back to it: PyTorch keeps what freed tensors had, for itself. Without CUDA, nothing."""
    torch.cuda.empty_cache()


def fuse_batch_norms(module: Module) -> Module:
    """Fold every batch norm that follows a convolution in a Sequential into it; the function stays the same."""
    for name, child in list(module.named_children()):
        setattr(module, name, fuse_batch_norms(child))
    if isinstance(module, nn.Sequential):
        parts: list[Any] = list(module)
        for i in range(len(parts) - 1):
            if isinstance(parts[i], nn.Conv2d) and isinstance(parts[i + 1], nn.BatchNorm2d):
                parts[i], parts[i + 1] = fuse_conv_bn_eval(parts[i], parts[i + 1]), nn.Identity()
        for i, part in enumerate(parts):
            module[i] = part
    return module
