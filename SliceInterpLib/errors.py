"""The errors that a user can meet. Each message says what is wrong and what to do about it."""


class SliceInterpError(Exception):
    """Base of every error that SliceInterp raises on purpose; its text is fit for a user."""


class VolumeError(SliceInterpError):
    """The volume cannot be read, or cannot be doubled honestly."""


class ThinSlicesError(VolumeError):
    """The slices are as close as pixels, and are doubled only where a user allows it.

    Args:
        cause: a sentence.
        way: how to allow it: what a script does, unless the door that tells a user names its own.
    """

    def __init__(self, cause: str, way: str = "pass allow_thin=True") -> None:
        super().__init__(cause, way)
        self.cause, self.way = cause, way

    def __str__(self) -> str:
        return f"{self.cause} Use the scan as it is, or {self.way}."


class MethodError(SliceInterpError):
    """An interpolation method, a model or a device that was asked for cannot be used."""


class OutputError(SliceInterpError):
    """The result cannot be written where it was asked for."""


class Cancelled(SliceInterpError):
    """The run was cancelled by its caller; nothing was kept."""


class TrainingError(SliceInterpError):
    """A training cannot begin or cannot go on."""


_MEMORY_WORDS = ("DefaultCPUAllocator", "std::bad_alloc", "out of memory", "_STATUS_ALLOC_FAILED")


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether memory has run out; torch has a class for that on a GPU, on a CPU only words."""
    if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
        return True
    return isinstance(problem, RuntimeError) and any(w in str(problem) for w in _MEMORY_WORDS)
