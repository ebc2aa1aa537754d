"""When memory is full: PyTorch has no error of its own for it everywhere."""

# What it says in a RuntimeError, for a card's memory, its libraries', and the computer's; and what the system's loader
# says in an ImportError where a library finds no room.
_SAID = (
    "out of memory",
    "ALLOC_FAILED",
    "can't allocate memory",
    "Cannot allocate memory",
    "bad_alloc",
    "failed to map segment",
)


def memory_is_full(error: BaseException) -> bool:
    """Whether an error says that memory, the computer's or a card's, is full."""
    said = str(error) if isinstance(error, RuntimeError | ImportError | OSError) else ""
    return isinstance(error, MemoryError) or any(words in said for words in _SAID)
