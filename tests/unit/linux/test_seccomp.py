import pytest

from argosy.linux.seccomp import Argument, Rule, compile_filter


def test_a_program_is_made_of_whole_instructions() -> None:
    program = compile_filter(1, (Rule("read"), Rule("write")))
    assert program
    assert len(program) % 8 == 0


def test_compiling_the_same_rules_gives_the_same_program() -> None:
    rules = (Rule("read"), Rule("socket", arguments=(Argument(0, "==", 1),)), Rule("clone3", errno=38))
    assert compile_filter(1, rules) == compile_filter(1, rules)


def test_a_call_that_this_machine_does_not_have_is_left_to_the_default() -> None:
    assert compile_filter(1, (Rule("read"), Rule("call_of_the_future"))) == compile_filter(1, (Rule("read"),))


def test_a_condition_on_an_argument_that_no_call_has_is_refused() -> None:
    with pytest.raises(OSError, match="read"):
        compile_filter(1, (Rule("read", arguments=(Argument(9, "==", 0),)),))
