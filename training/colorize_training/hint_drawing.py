"""Hints as a user paints them, on things that take a colour: a whole batch at once, on the device that trains.

A user paints a stroke because *this* should be different. So a thing in the photograph takes another colour, or gray,
or keeps its own; strokes of that colour lie on it; and the network learns what they lie on. Things are what people
drew (`data.things`), and regions that were found (`data.regions`). Strokes of a round brush stay within their thing, as
a careful hand does. Most are straight lines through its middle, where people paint: where they end tells how large it
is. The others are random walks, points the shortest of them. All is drawn on the chroma grid, whose cells are 2 pixels
of the network's picture, and all randomness comes from `Chances`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from colorize_engine.networks.served import HINT_PLANES
from torch import Tensor
from torch.nn import functional as F

from colorize_training.chances import Chances
from colorize_training.ranges import SHARE, Within
from colorize_training.settings import setting

THINGS = 3  # in a picture, at most
TRIES = 4  # drawn things, and found regions, that are looked at for each, until one has a fitting size
CANDIDATES = THINGS * TRIES
STROKES = 3  # on the one thing of the first set, at most
EXTRA_STROKE = (1.0, 0.25, 0.1)  # shares of the pictures that have a first, a second, a third of them
DEEPEST = 24  # cells from the border of a thing that are counted
OVERLAP, REST = 0.3, 0.002  # of a thing with others that lie on it, at most; of the picture that it keeps, at least
BESIDE = 7  # cells around a thing that are near it
CHROMATIC = 12.0  # length of ab from which alike colours mean something
MOVED = (12.0, 70.0)  # ab distance of a colour from the true one
PLAIN = (20.0, 60.0)  # length of ab of a colour that has nothing to do with it
PLAIN_SHARE = 0.3  # of the colours


@dataclass(frozen=True)
class HintSettings:
    """How hints are drawn; lengths in cells of the chroma grid, 2 pixels of the network's picture."""

    share_found: float = setting(0.25, "share of the things that are found regions, at least", SHARE)
    same_colour: float = setting(14.0, "ab distance that is like a thing's colour elsewhere", Within(float, 0, 1000))
    smallest_thing: float = setting(0.004, "smallest thing, as a share of the picture", SHARE)
    largest_thing: float = setting(0.55, "largest thing", SHARE)
    share_grey: float = setting(0.08, "share of the things that become gray", SHARE)
    share_true: float = setting(0.27, "share of the things that keep their colour", SHARE)
    share_alike: float = setting(0.1, "share of the strokes that mean everything of their thing's colour", SHARE)
    share_against: float = setting(0.35, "share of the pictures with strokes that say: not this", SHARE)
    share_several: float = setting(0.45, "share of the second sets with several things; the others have points", SHARE)
    most_points: int = setting(120, "points of true colours in a picture", Within(int, 1, 10_000))
    share_middle: float = setting(0.65, "share of the things whose first stroke goes through their middle", SHARE)
    longest_stroke: int = setting(34, "length of a stroke, in cells", Within(int, 1, 1000))
    largest_brush: float = setting(3.2, "radius of a stroke, in cells", Within(float, 0, 100, above=True))
    share_noisy: float = setting(0.2, "share of the hints whose colour is a little wrong", SHARE)
    noise: float = setting(3.0, "ab deviation of a wrong colour", Within(float, 0, 100))


class Hints(NamedTuple):
    """One set of hints for each picture, and what it asks for.

    planes (B, HINT_PLANES, h, w); ab (B, 2, h, w) the truth, with the colours that are asked for; reach (B, h, w) bool,
    the things that they lie on; known (B,) bool, whether `reach` can be learned from.
    """

    planes: Tensor
    ab: Tensor
    reach: Tensor
    known: Tensor


def draw_hints(
    ab: Tensor, drawn: Tensor, regions: Tensor, chances: Chances, settings: HintSettings
) -> tuple[Hints, Hints]:
    """Hints on one thing of each picture, and on several, or many points of true colours.

    ab (B, 2, h, w) is the true chroma on the grid; drawn (B, CANDIDATES, h, w) bool things that people drew, if any;
    regions (B, maps, h, w) the found ones by numbers.
    """
    things = choose_things(drawn, regions, chances, settings)
    return one_thing(ab, things, chances, settings), several_things(ab, things, chances, settings)


def choose_things(drawn: Tensor, regions: Tensor, chances: Chances, settings: HintSettings) -> Tensor:
    """Things (B, THINGS, h, w) bool that lie apart, of a fitting size: drawn ones, and found ones where there is none.

    Empty are only the last of them.
    """
    drawn, found = (_first_fitting(masks, settings) for masks in (drawn, _regions_at_places(regions, chances)))
    instead = _any_of(found) & (~_any_of(drawn) | chances.happens(settings.share_found, THINGS))
    things = _apart(torch.where(instead[..., None, None], found, drawn))
    order = _any_of(things).int().argsort(dim=1, descending=True, stable=True)
    return things.take_along_dim(order[..., None, None], 1)


def _regions_at_places(regions: Tensor, chances: Chances) -> Tensor:
    """Regions (B, CANDIDATES, h, w) bool of maps (B, maps, h, w): each at a place drawn by chance, of any map."""
    maps = regions[:, 0].numel() // len(regions)
    numbers = regions.flatten(1)
    chosen = (chances.uniform(CANDIDATES) * regions.shape[1]).long()
    places = (chances.uniform(CANDIDATES) * maps).long()
    asked = numbers.gather(1, chosen * maps + places)[..., None, None]
    return regions.take_along_dim(chosen[..., None, None], 1) == asked


def _first_fitting(masks: Tensor, settings: HintSettings) -> Tensor:
    """Of CANDIDATES masks (B, ., h, w) the first TRIES are for the first thing, and so on: (B, THINGS, h, w)."""
    masks = masks.unflatten(1, (THINGS, TRIES))
    area = masks.float().mean((-2, -1))
    fits = (area > settings.smallest_thing) & (area < settings.largest_thing)
    first = fits.int().argmax(2)[..., None, None, None]
    return masks.take_along_dim(first, 2)[:, :, 0] & fits.any(2)[..., None, None]


def _any_of(masks: Tensor) -> Tensor:
    """Whether each mask (B, K, h, w) holds anything, (B, K)."""
    return masks.flatten(2).any(2)


def _apart(things: Tensor) -> Tensor:
    """What an earlier thing took is not a later one's; one that is mostly taken goes."""
    apart = [things[:, 0]]
    taken = things[:, 0]
    for thing in things.unbind(1)[1:]:
        free = thing & ~taken
        left, whole = (m.float().mean((1, 2)) for m in (free, thing))
        free = free & ((left > (1 - OVERLAP) * whole) & (left > REST))[:, None, None]
        taken = taken | free
        apart.append(free)
    return torch.stack(apart, 1)


def _alike(ab: Tensor, other: Tensor, settings: HintSettings) -> Tensor:
    """Whether colours (B, 2, ...) are one, (B, ...)."""
    a, b = (ab - other).unbind(1)
    return a**2 + b**2 < settings.same_colour**2


def one_thing(ab: Tensor, things: Tensor, chances: Chances, settings: HintSettings) -> Hints:
    """One to three strokes of one colour on the first thing.

    Sometimes they mean everything of the thing's colour, and sometimes other strokes say what is not meant: another
    thing, or what lies beside it.
    """
    thing, there = things[:, 0], _any(things[:, 0])
    mean = _mean(ab, thing)
    alike = thing | _alike(ab, mean[..., None, None], settings)
    like = chances.happens(settings.share_alike) & (mean.norm(dim=1) > CHROMATIC) & there
    target = torch.where(like[:, None, None], alike, thing)
    truth = _dyed(ab, target, mean, chances, settings)
    canvases = torch.stack([*[thing] * STROKES, *_not_meant(things, target)], 1)
    first = torch.arange(canvases.shape[1], device=ab.device) == 0
    middle = first & chances.happens(settings.share_middle)[:, None]
    strokes = draw_strokes(canvases, middle, chances, settings)
    planes = _no_hints(ab)
    more = chances.uniform()
    for number, share in enumerate(EXTRA_STROKE):
        _lay(planes, strokes[:, number] & (more < share)[:, None, None], truth, chances, settings)
    against = strokes[:, STROKES:] & (_which_against(chances, settings) & there[:, None])[..., None, None]
    planes[:, 3] = against.any(1).to(planes)
    planes[:, 4] = like.to(planes)[:, None, None]
    return Hints(planes, truth, target, there)


def _not_meant(things: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Where strokes that say "not this" may lie, (B, h, w) each: on the second thing, and beside the target."""
    outside = ~target
    side = 2 * BESIDE + 1
    beside = F.max_pool2d(F.max_pool2d(target.float(), (side, 1), 1, (BESIDE, 0)), (1, side), 1, (0, BESIDE)).bool()
    second, beside = (mask & outside for mask in (things[:, 1], beside))
    second, beside = (torch.where(_any(mask)[:, None, None], mask, outside) for mask in (second, beside))
    return second, beside


def _which_against(chances: Chances, settings: HintSettings) -> Tensor:
    """(B, 2) bool: another thing, slightly more often, or what lies beside."""
    chance, share = chances.uniform(), settings.share_against
    return torch.stack([chance < 0.57 * share, chance >= 1 - 0.43 * share], 1)


def several_things(ab: Tensor, things: Tensor, chances: Chances, settings: HintSettings) -> Hints:
    """A stroke on each of two or three things, each with a colour of its own; or points of true colours, or both."""
    several = chances.happens(settings.share_several)
    third = torch.arange(THINGS, device=ab.device) < torch.where(chances.happens(0.5), 2, THINGS)[:, None]
    things = things & (several[:, None] & third)[..., None, None]
    strokes = draw_strokes(things, chances.happens(settings.share_middle, THINGS), chances, settings)
    truth, planes = ab, _no_hints(ab)
    for number in range(THINGS):
        thing = things[:, number]
        truth = _dyed(truth, thing, _mean(ab, thing), chances, settings)
        _lay(planes, strokes[:, number], truth, chances, settings)
    count = chances.uniform().mul(math.log(settings.most_points)).exp().long()
    count = count * (~several | chances.happens(0.3))
    _lay_points(planes, count, truth, chances, settings)
    reach = things.any(1)
    return Hints(planes, truth, reach, _any(reach) & (count == 0))


def draw_strokes(masks: Tensor, middle: Tensor, chances: Chances, settings: HintSettings) -> Tensor:
    """A stroke inside each of the masks (B, K, h, w) bool -> the cells that it covers, (B, K, h, w) bool.

    middle (B, K) bool: it is a line through the middle; else a walk that begins anywhere.
    """
    number, height, width = masks.shape[1:]
    walk, line = _walk(masks, chances, settings), _line(masks, chances, settings)
    y, x, down = (torch.where(middle[..., None], *parts) for parts in zip(line, walk, strict=True))
    radius = 0.5 + (settings.largest_brush - 0.5) * chances.uniform(number) ** 2
    return _stamped(y, x, down, radius, height, width) & masks


class _Path(NamedTuple):
    """Places y, x (B, K, longest_stroke), in cells, and whether (the same shape) the brush is down there."""

    y: Tensor
    x: Tensor
    down: Tensor


def _walk(masks: Tensor, chances: Chances, settings: HintSettings) -> _Path:
    _, number, height, width = masks.shape
    steps = settings.longest_stroke
    start = _starts(masks, chances)  # (B, K)
    length = torch.where(chances.happens(0.2, number), 0, chances.uniform(number) ** 1.3 * steps)
    turns = chances.normal(number, steps) * torch.where(chances.happens(0.4, number, 1), 0.03, 0.35)
    any_way = chances.uniform(number, 1, high=2 * math.pi)
    level = math.pi * chances.happens(0.5, number, 1)
    angle = torch.where(chances.happens(0.3, number, 1), level, any_way) + turns.cumsum(2)
    dy, dx = angle.sin(), angle.cos()
    y = (start // width)[..., None] + dy.cumsum(2) - dy
    x = (start % width)[..., None] + dx.cumsum(2) - dx
    inside = _at(masks, y, x) & (torch.arange(steps, device=y.device) <= length[..., None])
    return _Path(y, x, inside.int().cumprod(2).bool())  # it ends where it would leave


def _line(masks: Tensor, chances: Chances, settings: HintSettings) -> _Path:
    """From the thickest place both ways, mostly level or upright, until the border is near."""
    _, number, height, width = masks.shape
    depth = _depth(masks)
    start = (depth + chances.uniform(number, height, width)).flatten(2).argmax(2)
    kind, any_way = chances.uniform(number), chances.uniform(number, high=math.pi)
    angle = torch.where(kind < 0.45, 0.0, torch.where(kind < 0.6, math.pi / 2, any_way))[..., None]
    half = settings.longest_stroke // 2
    steps = torch.arange(half, device=depth.device)
    way = torch.cat([steps, -steps])
    y, x = (start // width)[..., None] + way * angle.sin(), (start % width)[..., None] + way * angle.cos()
    margin = torch.minimum(chances.uniform(number, low=1.0, high=3.0), 0.7 * depth.amax((2, 3)))
    length = chances.uniform(number).sqrt() * half
    down = (_at(depth, y, x) > margin[..., None]) & (way.abs() <= length[..., None])
    down = down.unflatten(2, (2, half)).int().cumprod(3).flatten(2).bool()
    rest = settings.longest_stroke - 2 * half
    return _Path(*(F.pad(part, (0, rest)) for part in (y, x, down)))


def _at(planes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Values of planes (B, K, h, w) at places (B, K, n); 0 outside of them."""
    height, width = planes.shape[2:]
    row, column = y.round().long(), x.round().long()
    there = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    cells = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    return planes.flatten(2).gather(2, cells) * there


def _depth(masks: Tensor) -> Tensor:
    """How many cells, DEEPEST at most, each cell of a mask (B, K, h, w) bool is away from its border; 0 outside.

    The picture's border is one. By turns the corners count, so that the distance is nearly round.
    """
    left, depth = masks, masks.int()
    for step in range(DEEPEST):
        left = _shrunk(left, corners=step % 2 == 0)
        depth = depth + left
    return depth


def _shrunk(mask: Tensor, corners: bool) -> Tensor:
    wide = F.pad(mask, (1, 1, 1, 1))
    beside = wide[..., :-2] & wide[..., 1:-1] & wide[..., 2:]
    upright = beside if corners else wide[..., 1:-1]
    return beside[..., 1:-1, :] & upright[..., :-2, :] & upright[..., 2:, :]


def _starts(masks: Tensor, chances: Chances) -> Tensor:
    """A cell within each mask (B, K, h, w), as a flat index (B, K): anywhere, or rather in its middle."""
    number = masks.shape[1]
    inner = F.avg_pool2d(F.avg_pool2d(masks.float(), (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4)).flatten(2)
    power = torch.where(chances.happens(0.5, number, 1), 1.0, 6.0)
    weight = (inner**power * masks.flatten(2)).double().cumsum(2)
    at = weight[..., -1:] * chances.uniform(number, 1).double()
    return torch.searchsorted(weight, at, right=True)[..., 0].clamp(max=weight.shape[2] - 1)


def _stamped(y: Tensor, x: Tensor, down: Tensor, radius: Tensor, height: int, width: int) -> Tensor:
    """The cells (B, K, h, w) under a brush of `radius` (B, K) that was `down` at places y, x (B, K, steps)."""
    most = int(radius.max()) + 1
    reach = torch.arange(-most, most + 1, device=y.device)
    dy, dx = (d.flatten() for d in torch.meshgrid(reach, reach, indexing="ij"))
    cy, cx = (place[..., None].round().long() + d for place, d in ((y, dy), (x, dx)))  # (B, K, steps, brush)
    covered = (cy - y[..., None]) ** 2 + (cx - x[..., None]) ** 2 <= radius[..., None, None] ** 2
    covered &= down[..., None] & (cy >= 0) & (cy < height) & (cx >= 0) & (cx < width)
    nowhere = height * width  # a cell beyond the last takes what is not covered
    index = torch.where(covered, cy * width + cx, nowhere).flatten(2)
    grid = torch.zeros(*y.shape[:2], nowhere + 1, dtype=torch.bool, device=y.device).scatter_(2, index, True)
    return grid[..., :nowhere].unflatten(2, (height, width))


def _dyed(ab: Tensor, thing: Tensor, mean: Tensor, chances: Chances, settings: HintSettings) -> Tensor:
    """ab (B, 2, h, w) with another colour on the thing (B, h, w), whose mean is (B, 2); sometimes the true one.

    The whole of the thing moves by one vector, and a part of its own variation goes.
    """
    asked, other = _asked_colour(mean, chances, settings)
    kept = chances.uniform(1, 1, 1)
    new = asked[..., None, None] + kept * (ab - mean[..., None, None])
    return torch.where((thing & other[:, None, None])[:, None], new, ab)


def _asked_colour(mean: Tensor, chances: Chances, settings: HintSettings) -> tuple[Tensor, Tensor]:
    """The ab (B, 2) that a user asks for where the true one is `mean`, and whether (B,) it is another."""
    angle = chances.uniform(1, high=2 * math.pi)
    direction = torch.cat([angle.cos(), angle.sin()], 1)
    moved = mean + direction * chances.uniform(1, low=MOVED[0], high=MOVED[1])
    plain = direction * chances.uniform(1, low=PLAIN[0], high=PLAIN[1])
    kind = chances.uniform(1)
    gray, true = kind < settings.share_grey, kind < settings.share_grey + settings.share_true
    asked = torch.where(gray, torch.zeros_like(mean), torch.where(kind >= 1 - PLAIN_SHARE, plain, moved))
    return asked, (gray | ~true)[:, 0]


def _no_hints(ab: Tensor) -> Tensor:
    return ab.new_zeros(len(ab), HINT_PLANES, *ab.shape[2:])


def _lay(planes: Tensor, stroke: Tensor, ab: Tensor, chances: Chances, settings: HintSettings) -> None:
    """Paint a stroke (B, h, w) bool on the planes: one colour, the mean of what it covers, sometimes a little wrong."""
    wrong = chances.happens(settings.share_noisy, 1) * chances.normal(2) * settings.noise
    colour = _mean(ab, stroke) + wrong
    coverage = torch.where(chances.happens(0.25, 1, 1), chances.uniform(1, 1, low=0.1), 1.0)
    _put(planes, stroke, colour[..., None, None], coverage)


def _lay_points(planes: Tensor, count: Tensor, ab: Tensor, chances: Chances, settings: HintSettings) -> None:
    """Paint `count` (B,) points of true colours, of one to five cells' side, beside what is painted already."""
    places = (chances.uniform(settings.most_points) * ab[0, 0].numel()).long()
    there = torch.arange(settings.most_points, device=ab.device) < count[:, None]
    nowhere = ab[0, 0].numel()
    points = torch.zeros(len(ab), nowhere + 1, device=ab.device)
    points = points.scatter_(1, torch.where(there, places, nowhere), 1.0)[:, :nowhere].view(len(ab), 1, *ab.shape[2:])
    around = torch.where(chances.happens(0.6), 0, (chances.uniform() * 3).long())[:, None, None, None]
    wide = F.max_pool2d(points, 3, 1, 1), F.max_pool2d(points, 5, 1, 2)
    points = torch.where(around == 0, points, torch.where(around == 1, *wide))
    local = F.avg_pool2d(ab, 3, 1, 1, count_include_pad=False)
    wrong = chances.happens(settings.share_noisy, 1, 1, 1) * chances.normal(*ab.shape[1:]) * settings.noise
    free = points[:, 0].bool() & (planes[:, 2] == 0)
    _put(planes, free, torch.where(around == 0, ab, local) + wrong, torch.ones_like(planes[:, 2]))


def _put(planes: Tensor, where: Tensor, ab: Tensor, coverage: Tensor) -> None:
    planes[:, :2] = torch.where(where[:, None], ab, planes[:, :2])
    planes[:, 2] = torch.where(where, coverage, planes[:, 2])


def _mean(ab: Tensor, mask: Tensor) -> Tensor:
    """The mean (B, 2) of ab (B, 2, h, w) within the mask (B, h, w); 0 where that is empty."""
    inside = mask[:, None].to(ab)
    return (ab * inside).sum((2, 3)) / inside.sum((2, 3)).clamp_min(1)


def _any(mask: Tensor) -> Tensor:
    return mask.flatten(1).any(1)
