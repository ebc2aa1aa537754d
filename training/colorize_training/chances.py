"""Random numbers for a batch that is drawn at once, on any device."""

import math

import torch
from torch import Tensor

# SplitMix64 (Steele et al. 2014, "Fast splittable pseudorandom number generators"), as signed numbers that wrap around.
_GOLDEN, _FIRST, _SECOND = (v - 2**64 for v in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


class Chances:
    """A sequence of random numbers for each sample of a batch.

    A number follows from the sample's seed and from how many were drawn before it, and from nothing else: neither from
    the rest of the batch nor from the device. seeds: (B,) int64.
    """

    def __init__(self, seeds: Tensor) -> None:
        self.seeds, self.drawn = seeds, 0

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """(B, *shape), from `low` up to, not including, `high`."""
        return (low + (high - low) * self._units(_bits(self._next(shape), 40))).view(-1, *shape)

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape) of mean 0 and deviation 1 (Box and Muller 1958)."""
        numbers = self._next(shape)
        length = (-2 * torch.log(1 - self._units(_bits(numbers, 40)))).sqrt()
        return (length * torch.cos(2 * math.pi * self._units(_bits(numbers, 8)))).view(-1, *shape)

    def happens(self, share: float, *shape: int) -> Tensor:
        """(B, *shape) bool, true with the probability `share`."""
        return self.uniform(*shape) < share

    def new_seeds(self) -> Tensor:
        """(B,) int64 from 0 up: of sequences of their own."""
        return self._next(())[:, 0] & 0x7FFFFFFFFFFFFFFF

    def _next(self, shape: tuple[int, ...]) -> Tensor:
        """(B, count) of 64 random bits each."""
        count = math.prod(shape)
        places = torch.arange(self.drawn + 1, self.drawn + count + 1, device=self.seeds.device)
        self.drawn += count
        z = self.seeds[:, None] + places * _GOLDEN
        z = (z ^ _shifted(z, 30)) * _FIRST
        z = (z ^ _shifted(z, 27)) * _SECOND
        return z ^ _shifted(z, 31)

    @staticmethod
    def _units(bits: Tensor) -> Tensor:
        return bits.float() / 2**24


def _shifted(z: Tensor, by: int) -> Tensor:
    """Shifted right as an unsigned number."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def _bits(z: Tensor, lowest: int) -> Tensor:
    """24 of the bits, as whole numbers that float32 holds exactly."""
    return (z >> lowest) & 0xFFFFFF
