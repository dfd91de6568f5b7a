"""What is wrong with a Dockerfile, where, and how to mend it.

The messages are BuildKit's, for people search for them; the excerpt is drawn as buildx draws it.
"""

from collections.abc import Iterable

from argosy.errors import InvalidParameter

_FARTHEST = 2
_RULER = "-" * 20


class DockerfileError(InvalidParameter):
    """A mistake in the Dockerfile. Lines count from 1; 0 means that no line is to blame."""

    def __init__(self, message: str, first_line: int = 0, last_line: int = 0, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.first_line = first_line
        self.last_line = last_line or first_line

    def at(self, first_line: int, last_line: int) -> "DockerfileError":
        """The same complaint about these lines, unless it already names some."""
        if self.first_line:
            return self
        return DockerfileError(self.message, first_line, last_line, hint=self.hint)

    def in_instruction(self, first_line: int, last_line: int) -> "DockerfileError":
        """The same complaint as BuildKit words it for an instruction that cannot be understood."""
        message = f"dockerfile parse error on line {first_line}: {self.message}"
        return DockerfileError(
            message, self.first_line or first_line, self.last_line or last_line, hint=self.hint
        )

    def excerpt(self, source: str, name: str = "Dockerfile") -> str:
        return excerpt(source, self.first_line, self.last_line, name)


def excerpt(source: str, first: int, last: int, name: str = "Dockerfile") -> str:
    """The lines from `first` to `last` marked, with a few around them; empty if there is no such line."""
    lines = source.split("\n")
    if not 1 <= first <= len(lines):
        return ""
    last = max(first, min(last, len(lines)))
    top, bottom = _widen(first, last, len(lines))
    numbered = [
        f" {number:3d} | {'>>>' if first <= number <= last else '   '} {_printable(lines[number - 1])}"
        for number in range(top, bottom + 1)
    ]
    return "\n".join([f"{name}:{first}", _RULER, *numbered, _RULER, ""])


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """` (did you mean RUN?)`, or nothing if no option is near enough or one is the word itself."""
    nearest = suggestion(word, options)
    return f" (did you mean {nearest}?)" if nearest else ""


def suggestion(word: str, options: Iterable[str], *, ignore_case: bool = False) -> str:
    """The option at most two edits away, the nearest first; of equals the one with letters swapped."""
    wanted = word.lower() if ignore_case else word
    best, best_rank = "", (_FARTHEST + 1, 0)
    for option in sorted(options):
        candidate = option.lower() if ignore_case else option
        if candidate == wanted:
            return ""
        if abs(len(candidate) - len(wanted)) > _FARTHEST:
            continue
        rank = (_distance(wanted, candidate, swaps=False), _distance(wanted, candidate, swaps=True))
        if rank < best_rank:
            best, best_rank = option, rank
    return best


def _distance(one: str, other: str, *, swaps: bool) -> int:
    """How many letters to insert, drop or change; with `swaps`, two neighbours exchanged count once."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        earlier, before, row = before, row, [i]
        for j, against in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != against))
            if swaps and i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _widen(first: int, last: int, end: int) -> tuple[int, int]:
    """As buildx: four lines of surroundings for one line, two for several, above before below."""
    wanted = 4 if first == last else 2
    given = 0
    while given < wanted:
        if first > 1:
            first -= 1
            given += 1
        if last < end:
            last += 1
            given += 1
        given += 1
    return first, last


def _printable(line: str) -> str:
    """Without what a hostile Dockerfile could do to a terminal."""
    return "".join(
        c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in line.rstrip("\r")
    )
