from collections.abc import Callable
from typing import Any, ClassVar

class GType: ...

TYPE_STRING: GType

class ParamFlags(int):
    READWRITE: ClassVar[ParamFlags]

class Value:
    def __init__(self, value_type: GType | type[Object] | None = None, py_value: object = None) -> None: ...

class Object:
    __gtype__: ClassVar[GType]

    def get_property(self, property_name: str) -> Any: ...  # of the property's own type
    def set_property(self, property_name: str, value: object) -> None: ...
    def handler_block_by_func(self, func: Callable[..., object]) -> int: ...
    def handler_unblock_by_func(self, func: Callable[..., object]) -> int: ...
    def connect(self, detailed_signal: str, handler: Callable[..., object]) -> int: ...
