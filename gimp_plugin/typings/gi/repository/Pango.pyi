from typing import ClassVar

class EllipsizeMode(int):
    END: ClassVar[EllipsizeMode]
    MIDDLE: ClassVar[EllipsizeMode]
