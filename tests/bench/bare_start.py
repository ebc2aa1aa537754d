"""The least that first colours need in a fresh process: torch, the default weights, one pass for HEIGHT x WIDTH."""

import sys

from baselines import BareNetwork

height, width = map(int, sys.argv[1:])
BareNetwork().passes(height, width, 1)
