"""On what a network runs."""

import torch
from torch import nn


def training_device(name: str, local_rank: int = 0) -> torch.device:
    """cuda (the one of this local rank), cpu, or the better one for auto.

    Raises ValueError where this machine has no such device.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("this machine has no CUDA device; choose --device cpu, or auto")
    if name == "cpu" or not there:
        return torch.device("cpu")
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def device_of(network: nn.Module) -> torch.device:
    """Where its parameters lie."""
    return next(network.parameters()).device


def native_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself; elsewhere it would be imitated, slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
