from collections.abc import Callable
from typing import ClassVar

PRIORITY_DEFAULT: int
SOURCE_CONTINUE: bool
SOURCE_REMOVE: bool

class IOCondition(int):
    IN: ClassVar[IOCondition]

class Bytes:
    def get_data(self) -> bytes: ...

class Error(RuntimeError):
    def __init__(self, message: str = "unknown error") -> None: ...

def idle_add(function: Callable[..., bool], *user_data: object) -> int: ...
def source_remove(tag: int) -> bool: ...
def timeout_add(interval: int, function: Callable[..., bool], *user_data: object) -> int: ...  # milliseconds
def unix_fd_add_full(
    priority: int, fd: int, condition: IOCondition, function: Callable[..., bool], user_data: object = None
) -> int: ...
