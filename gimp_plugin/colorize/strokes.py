"""Strokes among the painted tiles of a layer, and the tiles without those that a selection touches."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import tiles
from tiles import CHANNELS, SIDE, Rectangle

SAME_COLOUR = 24  # of 255 in each channel: what neighbouring pixels of one stroke differ by at most

Run = tuple[int, int, int]  # row, first column, column after the last
Tiles = tuple[list[Rectangle], list[bytes]]

_PAINTED = re.compile(rb"[^\0]+")


def without_touched(places: Sequence[Rectangle], data: Sequence[bytes], weights: bytes, width: int) -> Tiles | None:
    """The painted tiles less the strokes that the selection touches, wherever those go on.

    A stroke is what hangs together in one colour, corners included.

    Args:
        places, data: of `pixels.hint_tiles`.
        weights: of the selection, u8, row by row over the whole picture.
        width: of the picture.

    Returns:
        as `pixels.hint_tiles`; None where the selection touches no stroke.
    """
    runs, groups = _connected(places, data, width)
    selected = {
        group for (y, begin, end), group in zip(runs, groups, strict=True) if _any(weights, y, begin, end, width)
    }
    if not selected:
        return None
    touched = (run for run, group in zip(runs, groups, strict=True) if group in selected)
    rest = _erased(places, data, touched)
    painted = [(place, pixels) for place, pixels in zip(places, rest, strict=True) if tiles.is_painted(pixels)]
    return [place for place, _ in painted], [pixels for _, pixels in painted]


def _any(weights: bytes, y: int, begin: int, end: int, width: int) -> bool:
    return weights.count(0, y * width + begin, y * width + end) != end - begin


def _connected(places: Sequence[Rectangle], data: Sequence[bytes], width: int) -> tuple[list[Run], list[int]]:
    """The painted runs of all rows, from the top down, and for each the number of the first one of its stroke."""
    runs: list[Run] = []
    parents: list[int] = []
    above, above_pixels, above_y = range(0), b"", -1
    for y, pixels in _rows(places, data, width):
        first = len(runs)
        runs += [(y, begin, end) for begin, end in _painted_runs(pixels)]
        parents += range(first, len(runs))
        here = range(first, len(runs))
        for upper, lower in _neighbours(runs, above if above_y == y - 1 else range(0), here):
            if _same_stroke(above_pixels, runs[upper], pixels, runs[lower]):
                parents[_root(parents, lower)] = _root(parents, upper)
        above, above_pixels, above_y = here, pixels, y
    return runs, [_root(parents, number) for number in range(len(runs))]


def _rows(places: Sequence[Rectangle], data: Sequence[bytes], width: int) -> Iterator[tuple[int, bytes]]:
    """Each row that tiles cover, R'G'B'A of the picture's whole width."""
    for (top, height), band in groupby(zip(places, data, strict=True), lambda tile: (tile[0][1], tile[0][3])):
        rows = [bytearray(CHANNELS * width) for _ in range(height)]
        for (x, _, w, _), pixels in band:
            for number, row in enumerate(rows):
                row[CHANNELS * x : CHANNELS * (x + w)] = pixels[CHANNELS * w * number : CHANNELS * w * (number + 1)]
        yield from ((top + number, bytes(row)) for number, row in enumerate(rows))


def _painted_runs(pixels: bytes) -> Iterator[tuple[int, int]]:
    """(first column, column after the last) of what is painted in one row, where the colour jumps in two."""
    for match in _PAINTED.finditer(pixels[CHANNELS - 1 :: CHANNELS]):
        begin, end = match.span()
        if not _is_even(pixels, begin, end):
            for column in range(begin + 1, end):
                if not _alike(pixels, column - 1, pixels, column):
                    yield begin, column
                    begin = column
        yield begin, end


def _is_even(pixels: bytes, begin: int, end: int) -> bool:
    channels = (pixels[CHANNELS * begin + channel : CHANNELS * end : CHANNELS] for channel in range(CHANNELS - 1))
    return all(max(values) - min(values) <= SAME_COLOUR for values in channels)


def _alike(pixels: bytes, column: int, others: bytes, other: int) -> bool:
    channels = range(CHANNELS - 1)
    return all(abs(pixels[CHANNELS * column + c] - others[CHANNELS * other + c]) <= SAME_COLOUR for c in channels)


def _neighbours(runs: list[Run], above: range, here: range) -> Iterator[tuple[int, int]]:
    """Pairs of a run above and one here that touch, corners included; both rows are in order."""
    start = above.start
    for lower in here:
        _, begin, end = runs[lower]
        while start < above.stop and runs[start][2] < begin:
            start += 1
        for upper in range(start, above.stop):
            if runs[upper][1] > end:
                break
            yield upper, lower


def _same_stroke(above_pixels: bytes, above: Run, pixels: bytes, run: Run) -> bool:
    """Whether two runs that touch are alike in colour where they do."""
    _, upper_begin, upper_end = above
    _, begin, end = run
    upper = min(max(begin, upper_begin), upper_end - 1)
    lower = min(max(begin, upper_begin), end - 1)
    return _alike(above_pixels, upper, pixels, lower)


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = number = parents[parents[number]]
    return number


def _erased(places: Sequence[Rectangle], data: Sequence[bytes], runs: Iterator[Run]) -> list[bytes]:
    """The tiles with these runs transparent."""
    rest = [bytearray(pixels) for pixels in data]
    numbers = {(x, y): number for number, (x, y, _, _) in enumerate(places)}
    for y, begin, end in runs:
        for x in range(begin // SIDE * SIDE, end, SIDE):
            number = numbers[x, y // SIDE * SIDE]
            _, top, width, _ = places[number]
            first, last = (width * (y - top) + min(max(column - x, 0), width) for column in (begin, end))
            rest[number][CHANNELS * first : CHANNELS * last] = bytes(CHANNELS * (last - first))
    return [bytes(pixels) for pixels in rest]
