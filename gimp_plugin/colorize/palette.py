"""What the colours of a layer say of it: painted strokes, a photograph in colour, colours to take over."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Sample = tuple[float, float, float]  # L, a, b

LOOKED_AT = 4096  # pixels of each strip of rows
STRONGEST = 8  # colours that a layer with strokes has at most, but for a few pixels
STROKES_SHARE = 0.5  # of its painted pixels, at least
STROKES_COVER = 0.5  # of the layer, at most
STROKE_CHROMA = 24  # of 255, between the channels of one of them, at least
NEAR = STROKE_CHROMA // 2  # in each channel: a coloured stroke is no nearer to any gray

LEVELS = 16  # into which L is cut: a toned photograph has one colour in each
COLOURFUL = (
    4.0  # mean ab distance from it, at least: of 300 colour photographs 92 %, toned and stained ones 2.7 at most
)

CELL = 4  # pixels of the small picture, each way, that one dab is taken from
EVEN = 8.0  # mean ab distance within them, at most


@dataclass(frozen=True)
class Dab:
    """A colour to take over: its place in the small picture, and the mean of what is there, CIE Lab."""

    x: float
    y: float
    lab: Sample


def is_painted(strips: Iterable[bytes], own: Callable[[], bytes] = bytes) -> bool:
    """Whether a layer's rows, R'G'B'A u8, hold strokes of a few colours on transparency; photographs hold many.

    Colours that were picked from the photograph below, `own` (R'G'B' u8), retouch it and are no strokes.
    """
    colours: Counter[bytes] = Counter()
    seen = 0
    for strip in strips:
        step = 4 * max(1, len(strip) // (4 * LOOKED_AT))
        pixels = [strip[at : at + 4] for at in range(0, len(strip), step)]
        seen += len(pixels)
        colours.update(pixel[:3] for pixel in pixels if pixel[3])
    painted, strongest = colours.total(), colours.most_common(STRONGEST)
    if not 0 < painted <= STROKES_COVER * seen:
        return False
    coloured = [colour for colour, _ in strongest if max(colour) - min(colour) >= STROKE_CHROMA]
    if not coloured or sum(count for _, count in strongest) < STROKES_SHARE * painted:
        return False
    content = own()
    picked_from = [content[at : at + 3] for at in range(0, len(content), 3)]
    return not all(any(_is_near(colour, other) for other in picked_from) for colour in coloured)


def _is_near(one: bytes, other: bytes) -> bool:
    return all(abs(a - b) < NEAR for a, b in zip(one, other, strict=True))


def is_colourful(samples: Sequence[Sample]) -> bool:
    """Whether a photograph's colours differ where its lightness does not."""
    levels: dict[int, list[Sample]] = {}
    for sample in samples:
        levels.setdefault(int(sample[0] * LEVELS / 100.0), []).append(sample)
    return sum(map(_spread_sum, levels.values())) / len(samples) >= COLOURFUL


def dabs(width: int, height: int, samples: Sequence[Sample]) -> list[Dab]:
    """Colours of a photograph to take over as hints, one from each even place of a small picture of it."""
    found = []
    for y in range(0, height - CELL + 1, CELL):
        for x in range(0, width - CELL + 1, CELL):
            cell = [samples[(y + row) * width + x + column] for row in range(CELL) for column in range(CELL)]
            if _spread_sum(cell) <= EVEN * len(cell):
                found.append(Dab(x + CELL / 2, y + CELL / 2, _mean(cell)))
    return found


def _spread_sum(samples: Sequence[Sample]) -> float:
    _, a, b = _mean(samples)
    return sum(((sample[1] - a) ** 2 + (sample[2] - b) ** 2) ** 0.5 for sample in samples)


def _mean(samples: Sequence[Sample]) -> Sample:
    lightness, a, b = (sum(values) / len(samples) for values in zip(*samples, strict=True))
    return lightness, a, b
