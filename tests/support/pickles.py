"""A pickle that does something when it is executed."""

from pathlib import Path


class Trap:
    """A pickle that makes a file when it is executed."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)
