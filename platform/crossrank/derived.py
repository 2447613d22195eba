"""A value that crossrank worked out for itself, with its reason, so that a log can say both."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Derived(Generic[Value]):
    """A value and the reason for it."""

    value: Value
    why: str

    def __str__(self) -> str:
        return f"{self.value} ({self.why})"
