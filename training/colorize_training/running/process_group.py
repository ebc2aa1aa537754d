"""One run on many processes or machines, as `torchrun` starts them; a run that it did not start is a team of one."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Team:
    """The processes of a run, as one of them sees it; the one of rank 0 leads: it logs, validates and saves."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls, device: str = "auto") -> "Team":
        """Join what torchrun's environment describes: gloo on CPUs, nccl on CUDA, one device a process."""
        rank, size, local = (int(os.environ.get(k, d)) for k, d in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0)))
        own = pick_device(device, local)
        if size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
        return cls(rank, size, own)

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def normalise_together(self, network: nn.Module) -> nn.Module:
        """Batch norms over all processes' pictures; torch has this for CUDA alone, CPUs keep their own statistics."""
        if self.size > 1 and self.device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return network

    def wrap(self, module: nn.Module, some_unused: bool) -> nn.Module:
        """`module`, its gradients averaged over the team; some_unused: not every step reaches every parameter."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=some_unused)

    def any(self, flag: bool) -> bool:
        """Whether any process raised the flag; all must ask at the same step."""
        return bool(self._agreed([float(flag)], dist.ReduceOp.MAX)[0])

    def mean(self, values: Iterable[float]) -> list[float]:
        """The team's means."""
        return [v / self.size for v in self._agreed(list(values), dist.ReduceOp.SUM)]

    def leaders(self, value: float) -> float:
        """The leader's value, for all."""
        if self.size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return float(tensor[0])

    def leave(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _agreed(self, values: list[float], operation: dist.ReduceOp) -> list[float]:
        if self.size == 1:
            return values
        tensor: Tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, operation)
        return tensor.tolist()


def pick_device(name: str, local: int = 0) -> torch.device:
    """cuda, cpu, or the better one for auto; raises ValueError where this machine has no such device."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ValueError("this machine has no CUDA device; choose --device cpu, or auto")
    if name == "cpu" or not there:
        return torch.device("cpu")
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def native_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself; elsewhere it would be imitated, slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
