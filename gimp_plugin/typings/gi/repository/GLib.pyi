from collections.abc import Callable

SOURCE_REMOVE: bool

class Error(RuntimeError):
    def __init__(self, message: str = "unknown error") -> None: ...

def idle_add(function: Callable[..., bool], *user_data: object) -> int: ...
