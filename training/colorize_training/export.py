"""From a checkpoint to the weights that the service loads."""

import datetime
from pathlib import Path

from colorize_daemon import networks, weights

from colorize_training import checkpoint

SIDE = 256  # of the network's picture in the service


def export(source: Path, target: Path, name: str | None, title: str | None, licence: str) -> int:
    """Write the averaged weights of the checkpoint `source` as a weights file; prints its size and hash."""
    state = checkpoint.load(source)
    network = networks.build(state["recipe"], {})
    network.load_state_dict(state["average"])
    name = name or state["recipe"]
    samples = state["step"] * state["settings"]["batch"]
    weights.save(
        network,
        target,
        recipe=state["recipe"],
        name=name,
        title=title or name,
        licence=licence,
        side=SIDE,
        samples=str(samples),
        data=state["data"],
        exported=datetime.date.today().isoformat(),
    )
    record = weights.read_record(target)
    weights.load(record)
    print(f"{target}: {target.stat().st_size} bytes, {samples} samples, sha256 {record.sha256}")
    return 0
