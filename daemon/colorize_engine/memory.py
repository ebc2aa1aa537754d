"""When memory is full: PyTorch has no error of its own for it everywhere."""

# What it says in a RuntimeError, for a card's memory, its libraries', and the computer's.
_SAID = ("out of memory", "ALLOC_FAILED", "can't allocate memory")


def memory_is_full(error: BaseException) -> bool:
    """Whether an error says that memory, the computer's or a card's, is full."""
    said = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or any(words in said for words in _SAID)
