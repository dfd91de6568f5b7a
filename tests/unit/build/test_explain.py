"""Why steps ran, and what order would have kept more cached."""

from argosy.build.explain import explain
from argosy.build.past import Past, PastStep

LISTINGS = {"one": {"a": "1", "b": "1"}, "two": {"a": "2", "c": "1"}}


def step(
    text: str,
    number: int,
    *,
    cached: bool = False,
    seconds: float = 1.0,
    parts: dict[str, str] | None = None,
    command: str = "",
    variables: dict[str, str] | None = None,
) -> PastStep:
    details = {"command": command} if command else {}
    details |= {f"${name}": value for name, value in (variables or {}).items()}
    return PastStep(
        f"[{number}/9] {text}", 0, seconds, cached, line=number,
        parts={"step": text, "base": "x", **(parts or {})}, details=details,
    )  # fmt: skip


def reasons(now: list[PastStep], before: list[PastStep] | None, *, forced: bool = False) -> list[list[str]]:
    past = Past("id", "place", "Dockerfile", 0, steps=before) if before is not None else None
    return [each.reasons for each in explain(now, past, LISTINGS.get, forced=forced).steps]


def advice(now: list[PastStep], before: list[PastStep]) -> list[str]:
    past = Past("id", "place", "Dockerfile", 0, steps=before)
    return explain(now, past, LISTINGS.get, forced=False).advice


def test_a_cached_step_needs_no_reason() -> None:
    assert reasons([step("RUN x", 2, cached=True)], []) == [[]]


def test_a_first_build_has_nothing_to_compare_with() -> None:
    assert reasons([step("RUN x", 2)], None) == [["nothing like it was built before"]]


def test_a_forced_step_says_so() -> None:
    assert reasons([step("RUN x", 2)], [], forced=True) == [["the cache was not to be used"]]


def test_a_pruned_result_is_no_change() -> None:
    assert reasons([step("RUN x", 2)], [step("RUN x", 2)]) == [["its result is no longer in the cache"]]


def test_changed_files_are_named() -> None:
    now, before = (step("COPY . .", 2, parts={"files": files}) for files in ("two", "one"))
    assert reasons([now], [before]) == [["a changed", "c is new", "b is gone"]]


def test_files_that_nobody_remembers_are_not_named() -> None:
    now, before = (step("COPY . .", 2, parts={"files": files}) for files in ("two", "forgotten"))
    assert reasons([now], [before]) == [["the files that it copies have changed"]]


def test_a_changed_variable_is_named_with_its_values() -> None:
    now = step("RUN make", 3, parts={"step": "n"}, command="make", variables={"V": "2"})
    before = step("RUN make", 3, parts={"step": "b"}, command="make", variables={"V": "1"})
    assert reasons([now], [before]) == [["variable V was '1', is '2'"]]


def test_what_ran_before_it_is_named() -> None:
    now = [step("COPY . .", 2, parts={"files": "two"}), step("RUN x", 3, parts={"base": "y"}, command="x")]
    before = [step("COPY . .", 2, parts={"files": "one"}), step("RUN x", 3, command="x")]
    assert reasons(now, before)[1] == ["a step before it ran (line 2: COPY . .)"]


def test_an_installation_that_reads_no_files_belongs_above_the_copy() -> None:
    command = "apt-get install -y curl"
    now = [
        step("COPY . .", 2, parts={"files": "two"}),
        step(f"RUN {command}", 3, parts={"base": "y"}, command=command, seconds=12.0),
    ]
    before = [step("COPY . .", 2, parts={"files": "one"}), step(f"RUN {command}", 3, command=command)]
    assert advice(now, before) == [
        f"line 3 (RUN {command}) reads none of your files: put it above line 2 (COPY . .); "
        "that would have saved 12.0 s"
    ]


def test_a_variable_that_a_command_does_not_name_belongs_below_it() -> None:
    now = step("RUN make", 3, parts={"step": "n"}, command="make", seconds=3.0, variables={"BUILD": "2"})
    before = step("RUN make", 3, parts={"step": "b"}, command="make", variables={"BUILD": "1"})
    found = advice([now], [before])
    assert len(found) == 1
    assert "put ARG or ENV BUILD below it" in found[0]
    named = step("RUN make", 3, parts={"step": "n"}, command="make $BUILD", variables={"BUILD": "2"})
    assert advice([named], [step("RUN make", 3, command="make $BUILD", variables={"BUILD": "1"})]) == []
