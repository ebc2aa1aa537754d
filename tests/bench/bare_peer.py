"""The bare network in a process of its own, on one thread: python bare_peer.py HEIGHT WIDTH PASSES

It says "ready" once it is warm; a line on its standard input starts PASSES passes, and "done" ends them.
"""

import sys

import torch
from baselines import BareNetwork


def main() -> None:
    height, width, passes = map(int, sys.argv[1:])
    torch.set_num_threads(1)
    network = BareNetwork("cpu")
    network.passes(height, width, 2)
    print("ready", flush=True)
    sys.stdin.readline()
    network.passes(height, width, passes)
    print("done", flush=True)


if __name__ == "__main__":
    main()
