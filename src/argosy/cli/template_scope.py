"""What a running template sees: the rows that it is given, its dot and its variables."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Fields(dict[str, "Any"]):
    """A row of a list, which is a struct in Go: `kind` names it where a field is missing."""

    def __init__(self, values: Mapping[str, Any], kind: str) -> None:
        super().__init__(values)
        self.kind = kind


class Scope:
    def __init__(self, dot: Any, variables: dict[str, Any]) -> None:
        self.dot = dot
        self.variables = variables

    def inner(self, dot: Any) -> Scope:
        return Scope(dot, Chained(self.variables))


class Chained(dict[str, "Any"]):
    """Variables of a block; assignment reaches the block that declared them."""

    def __init__(self, outer: dict[str, Any]) -> None:
        super().__init__()
        self.outer = outer

    def __missing__(self, name: str) -> Any:
        return self.outer[name]

    def assign(self, name: str, value: Any) -> None:
        if name in self or not isinstance(self.outer, Chained):
            (self if name in self else self.outer)[name] = value
        else:
            self.outer.assign(name, value)
