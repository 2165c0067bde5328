"""Radios that are closed when a test ends, however it ends."""

from contextlib import ExitStack, closing
from typing import Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=Closable)


class Keep:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, radio: T) -> T:
        return self._stack.enter_context(closing(radio))
