"""What a client holds of a picture whose colours come in tiles. Needs neither pyzmq nor msgpack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from colorize_client import messages
from colorize_client.messages import Newer, Update
from colorize_client.tiling import Rectangle, cut


@dataclass(frozen=True)
class Pixels:
    """Rows of the picture's part at x, y: `data` (height, width, channels) in the layout that was asked for."""

    x: int
    y: int
    width: int
    height: int
    data: bytes


class Held:
    """Which state each tile is of that the client holds of a picture."""

    def __init__(self, width: int, height: int, state: str = "") -> None:
        self._states = dict.fromkeys(cut(width, height), state)

    def put(self, tile: Rectangle, state: str) -> None:
        self._states[tile] = state

    def put_all(self, state: str) -> None:
        self._states = dict.fromkeys(self._states, state)

    @property
    def state(self) -> str:
        """The one that all tiles are of, "" where there is none."""
        states = set(self._states.values())
        return states.pop() if len(states) == 1 else ""

    def update(self, near: tuple[int, int] | None, draft: bool) -> Update:
        """What to ask for: the changes since the states that most tiles are of."""
        known = [state for state, _ in Counter(state for state in self._states.values() if state).most_common(2)]
        if not known:
            return Update(near=near, draft=draft)
        newer = self._of(known[1]) if len(known) > 1 else []
        others = [tile for tile, state in self._states.items() if state not in known]
        return Update(
            known[0],
            messages.pack_tiles(others) if others else None,
            Newer(known[1], messages.pack_tiles(newer)) if newer else None,
            near,
            draft,
        )

    def _of(self, state: str) -> list[Rectangle]:
        return [tile for tile, its in self._states.items() if its == state]
