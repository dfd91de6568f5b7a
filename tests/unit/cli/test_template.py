"""Go templates: what Go prints, and what it says when it cannot."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from argosy.cli.template import Fields, Template, TemplateError
from argosy.cli.template_lexer import Lexer

DATA = {
    "Id": "abc",
    "N": 5,
    "Flag": True,
    "Config": {"Cmd": ["a", "b"], "Labels": {"x": "y"}, "Env": None, "Sysctls": None},
    "List": [{"K": 1}, {"K": 2}],
    "Html": "<&>",
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Id}}-{{ .Config.Cmd }}", "abc-[a b]"),
        ("{{json .Config.Labels}} {{json .Html}}", '{"x":"y"} "<&>"'),
        ('{{join .Config.Cmd ","}} {{upper .Id | printf "%-5s|"}}', "a,b ABC  |"),
        ("{{range $i, $e := .List}}{{$i}}={{$e.K}} {{end}}", "0=1 1=2 "),
        ("{{range .Config.Env}}x{{else}}none{{end}}", "none"),
        ("{{range .List}}{{if eq .K 2}}{{break}}{{end}}{{.K}}{{end}}", "1"),
        ("{{range .List}}{{if eq .K 1}}{{continue}}{{end}}{{.K}}{{end}}", "2"),
        ("{{if eq .N 4 5}}yes{{else}}no{{end}}", "yes"),
        ("{{if not .Flag}}a{{else if gt .N 4}}b{{else}}c{{end}}", "b"),
        ("{{with .Config}}{{len .Cmd}}{{end}}", "2"),
        ('{{index .Config.Labels "x"}} {{(index .List 1).K}}', "y 2"),
        ("{{.Config.Labels.missing}} {{.Config.Env}} {{.Config.Sysctls}}", "<no value> [] map[]"),
        ("{{$x := 3}}{{range .List}}{{$x = .K}}{{end}}{{$x}}", "2"),
        ("{{$.Id}}{{/* nothing */}}", "abc"),
        ("a {{- .N -}} b", "a5b"),
        ('{{and .N .Id}} {{or "" .Id}} {{slice .Id 1 2}} {{truncate .Id 2}}', "abc abc b ab"),
        ('{{print 1 2 "x" 3}} {{println "a" 1}}', "1 2x3 a 1\n"),
        ('{{split "a:b" ":"}} {{title "ab cd"}} {{pad .Id 1 2}}|', "[a b] Ab Cd  abc  |"),
        ('{{printf "%d %05.1f %q %t %x %%" .N 2.25 .Id .Flag 255}}', '5 002.2 "abc" true ff %'),
        ('{{`raw`}} {{"q\\"\\u00e9"}} {{\'a\'}}', 'raw q"é 97'),
    ],
)
def test_prints_as_go_does(template: str, text: str) -> None:
    assert Template(template).execute(DATA) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id", "template: :1: unclosed action"),
        ("{{nofunc .Id}}", 'template: :1: function "nofunc" not defined'),
        ("a\n{{if .Id}}", "template: :2: unexpected EOF"),
        ("{{end}}", "template: :1: unexpected {{end}}"),
        ('{{"x}}', "template: :1: unterminated quoted string"),
        ("{{$x}}", 'template: :1: undefined variable "$x"'),
        ("{{(.Id}}", "template: :1: unclosed left paren"),
        ("{{break}}", "template: :1: {{break}} outside {{range}}"),
    ],
)
def test_refuses_what_go_does_not_parse(template: str, text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(template)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Nope}}", 'template: :1:2: executing "" at <.Nope>: map has no entry for key "Nope"'),
        (
            "{{.Config.Nope}}",
            'template: :1:9: executing "" at <.Config.Nope>: map has no entry for key "Nope"',
        ),
        (
            "x\n{{json}}",
            'template: :2:2: executing "" at <json>: wrong number of args for json: want 1 got 0',
        ),
        (
            "{{index .List 9}}",
            'template: :1:2: executing "" at <index .List 9>: error calling index: index out of range: 9',
        ),
    ],
)
def test_fails_in_gos_words(template: str, text: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(template).execute(DATA)
    assert str(caught.value) == text


def test_a_missing_field_of_a_row_names_its_type() -> None:
    with pytest.raises(TemplateError, match=r"can't evaluate field X in type \*formatter.ContainerContext"):
        Template("{{.X}}").execute(Fields({"ID": "1"}, "*formatter.ContainerContext"))


def test_methods_of_a_row_take_arguments() -> None:
    row = Fields({"Label": {"a": "b"}.get}, "row")
    assert Template('{{.Label "a"}}').execute(row) == "b"


@given(st.text(alphabet="ab {}-\n", max_size=30))
def test_text_without_actions_stays_as_it_is(text: str) -> None:
    if "{{" not in text:
        assert Template(text).execute({}) == text


@given(st.text(alphabet="{}-/* .$|()\"`'=:,x1\n", max_size=40))
def test_any_source_is_cut_into_pieces_or_refused(source: str) -> None:
    try:
        pieces = Lexer(source, "").pieces()
    except TemplateError:
        return
    for piece in pieces:
        if isinstance(piece, list):
            for token in piece:
                assert source[token.position : token.position + len(token.text)] == token.text


@given(st.text(alphabet='{}.$|()"x1 ', max_size=30))
def test_any_template_runs_or_is_refused(source: str) -> None:
    try:
        Template(source).execute(DATA)
    except TemplateError as error:
        assert str(error).startswith("template: ")
