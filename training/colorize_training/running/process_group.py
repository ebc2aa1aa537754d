"""One run on many processes or machines, as `torchrun` starts them; a run that it did not start is a group of one."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from colorize_training.devices import training_device


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, as one of them sees it; the main one, of rank 0, logs, validates and saves."""

    rank: int
    world_size: int
    device: torch.device

    @classmethod
    def join(cls, device: str = "auto") -> "ProcessGroup":
        """Join what torchrun's environment describes: gloo on CPUs, nccl on CUDA, one device a process."""
        known = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
        rank, world_size, local_rank = (int(os.environ.get(name, default)) for name, default in known)
        own = training_device(device, local_rank)
        if world_size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
        return cls(rank, world_size, own)

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sync_batch_norms(self, network: nn.Module) -> nn.Module:
        """Batch norms over all processes' pictures; torch has this for CUDA alone, CPUs keep their own statistics."""
        if self.world_size > 1 and self.device.type == "cuda":
            return nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return network

    def wrap(self, module: nn.Module, some_unused: bool) -> nn.Module:
        """`module`, its gradients averaged over the group; some_unused: not every step reaches every parameter."""
        if self.world_size == 1:
            return module
        return DistributedDataParallel(module, find_unused_parameters=some_unused)

    def any(self, flag: bool) -> bool:
        """Whether any process raised the flag; all must ask at the same step."""
        return bool(self._all_reduce([float(flag)], dist.ReduceOp.MAX)[0])

    def mean(self, values: Iterable[float]) -> list[float]:
        """The group's means."""
        return [v / self.world_size for v in self._all_reduce(list(values), dist.ReduceOp.SUM)]

    def from_main(self, value: float) -> float:
        """The main process's value, for all."""
        if self.world_size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, 0)
        return float(tensor[0])

    def leave(self) -> None:
        if self.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()

    def _all_reduce(self, values: list[float], operation: dist.ReduceOp.RedOpType) -> list[float]:
        if self.world_size == 1:
            return values
        tensor: Tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor, operation)
        return tensor.tolist()
