"""Go templates through both clients, to the same dockerd: what they print, and what they say is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Oracle

pytestmark = pytest.mark.oracle

OF_A_ROW = r"""
{{json .Names}} {{json .Labels}} {{json 1}} {{json "a<b"}}
{{json .}}
{{upper .Names}} {{lower .Image}} {{title .State}} {{join (split .Names "-") "+"}} {{pad .State 2 3}}| {{truncate .Names 2}}
{{range $i, $e := split .Names "-"}}{{$i}}={{$e}};{{end}}
{{if eq .State "running"}}yes{{else if eq .State "x"}}x{{else}}no{{end}}
{{if and (eq .State "running") (ne .Image "x")}}both{{end}}{{if or false true}}one{{end}}{{not true}}
{{with .Names}}{{.}}{{end}} {{len .State}} {{slice .State 0 0}}
{{printf "%q %10s %-10s| %x %v %T" .State .State .State .State .State .State}}
{{html "<a>&'\""}} {{js "it's <b>"}} {{urlquery "a b&c=~"}} {{print 1 2 "a"}} {{println "x"}}
{{define "x"}}[{{.}}]{{end}}{{template "x" .State}}
{{block "y" .State}}<{{.}}>{{end}}
{{/* comment */}}{{- .State -}}   x
{{$x := .State}}{{$x}}{{$x = "z"}}{{$x}}
{{range split "a,b,c" ","}}{{if eq . "b"}}{{continue}}{{end}}{{.}}{{end}}
{{range split "a,b,c" ","}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}
{{lt 1 2}} {{gt 1 2}} {{le 1 1}} {{ge 2 1}} {{eq 1 2 1}} {{lt "a" "b"}}
{{.State | upper | printf "%s!"}} {{1.5}} {{0x10}} {{1e3}} {{'a'}} {{true}}
{{`raw`}} {{"esc\t\"q\""}}
table {{.State}}\t{{.Image}}\t{{.Label "of"}}
json
table
{{nil}}
{{.Nope}}
{{nope .Names}}
{{if}}
{{.Names
{{end}}
{{template "nope"}}
{{slice .State 50 99}}
{{eq .State 1}}
"""

OF_A_DOCUMENT = r"""
{{.Name}} {{.ID | len}} {{.State.Running}} {{index .Config.Labels "of"}} {{.NetworkSettings.Ports}}
{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}
{{.Config.Labels}} {{.HostConfig.PortBindings}} {{.Config.Env}} {{.HostConfig.Memory}} {{.HostConfig.CapAdd}}
{{len .Mounts}} {{(index .Mounts 0).Destination}} {{range .Mounts}}{{.Type}}{{end}}
{{println .Name}}{{json .Config.Cmd}}{{join .Config.Cmd ","}}
{{index .Mounts 5}}
{{.Nope.Nope}}
{{.Config.StopSignal}}|{{.Config.Shell}}|{{.SizeRw}}|{{.HostConfig.Mounts}}|{{if eq .Config.StopSignal ""}}none{{end}}
{{json .Config.Shell}} {{.Config.MacAddress}}|{{.ImageManifestDescriptor}}|{{.Config.Healthcheck}} {{len .HostConfig.Mounts}}
{{with .State.Health}}{{.Status}}{{else}}none{{end}}
"""


@pytest.mark.parametrize("template", OF_A_ROW.strip().splitlines())
def test_a_list_is_printed_alike(oracle: Oracle, running: str, template: str) -> None:
    oracle.same("ps", "--filter", f"name={running}", "--format", template)


@pytest.mark.parametrize("template", OF_A_DOCUMENT.strip().splitlines())
def test_a_document_is_printed_alike(oracle: Oracle, running: str, template: str) -> None:
    oracle.same("inspect", "--format", template, running)


@pytest.mark.parametrize(
    "words",
    [
        ("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}", "argosy-oracle"),
        ("images", "--format", "json", "argosy-oracle"),
        (
            "image",
            "inspect",
            "--format",
            "{{.Variant}}|{{.OsVersion}}|{{.Container}}|{{.VirtualSize}}",
            "argosy-oracle:1",
        ),
        (
            "image",
            "inspect",
            "--format",
            "{{.Config.StopSignal}}|{{.Config.ArgsEscaped}}|{{.Descriptor}}",
            "argosy-oracle:1",
        ),
        ("images", "--format", "table {{.Repository}}\t{{.Tag}}", "argosy-oracle"),
        ("history", "--format", "{{.CreatedBy}}|{{.Comment}}|{{.Size}}", "argosy-oracle:1"),
        ("history", "--format", "json", "argosy-oracle:1"),
        ("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.IPv6}} {{.Internal}}"),
        ("volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Labels}}"),
        ("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"),
        ("system", "df", "--format", "table {{.Type}}\t{{.Active}}"),
        ("info", "--format", "{{.OSType}} {{.NCPU}} {{.Swarm.LocalNodeState}} {{json .SecurityOptions}}"),
        ("info", "--format", "{{.Nope}}"),
        ("version", "--format", "{{.Server.APIVersion}} {{.Server.Os}} {{.Client.APIVersion}}"),
        ("version", "--format", "{{.Server.Nope}}"),
    ],
)
def test_other_lists_are_printed_alike(oracle: Oracle, running: str, words: tuple[str, ...]) -> None:
    oracle.same(*words)
