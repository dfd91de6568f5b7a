"""`argosy completion`."""

from __future__ import annotations

import sys

from argosy.cli.failure import Failure
from argosy.cli.flags import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argosy.cli.context import Context
    from argosy.cli.flags import Options

COMMAND = Command(
    "SHELL",
    "Print what makes a shell complete commands, options and names",
    arguments=(1, 1),
    notes="""
In bash:  source <(argosy completion bash)
In zsh:   source <(argosy completion zsh)
In fish:  argosy completion fish | source

To have it in every shell, put that line into ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish.
""",
)
_BASH = r"""# bash completion for argosy
_argosy() {
    local line="${COMP_LINE:0:COMP_POINT}" current="" prefix="" candidate description
    local -a words
    read -ra words <<< "$line"
    if [[ "$line" == *[![:space:]] ]]; then
        current="${words[-1]}"
        unset 'words[-1]'
    fi
    # Readline breaks words here: what is before it is there already.
    case "$COMP_WORDBREAKS" in
        *:*) case "$current" in *[:=]*) prefix="${current%"${current##*[:=]}"}" ;; esac ;;
    esac
    COMPREPLY=()
    while IFS=$'\t' read -r candidate description; do
        if [[ "$candidate" == ":files" ]]; then
            compopt -o default 2> /dev/null
        else
            COMPREPLY+=("${candidate#"$prefix"}")
            # Something is to follow at once: a path, a value.
            [[ "$candidate" == *[:=] ]] && compopt -o nospace 2> /dev/null
        fi
    done < <("${words[0]}" __complete "${words[@]:1}" "$current" 2> /dev/null)
}
complete -F _argosy argosy
"""
_ZSH = r"""#compdef argosy
_argosy() {
    local line candidate files=""
    local -a found unfinished
    for line in "${(@f)$(argosy __complete "${(@)words[2,CURRENT-1]}" "${words[CURRENT]}" 2> /dev/null)}"; do
        [[ -n "$line" ]] || continue
        if [[ "$line" == ":files" ]]; then
            files=1
            continue
        fi
        candidate="${line%%$'\t'*}"
        if [[ "$line" == *$'\t'* ]]; then
            found+=("${candidate//:/\\:}:${line#*$'\t'}")
        elif [[ "$candidate" == *[:=] ]]; then
            # Something is to follow at once: a path, a value.
            unfinished+=("${candidate//:/\\:}")
        else
            found+=("${candidate//:/\\:}")
        fi
    done
    (( ${#found} )) && _describe argosy found
    (( ${#unfinished} )) && _describe argosy unfinished -S ""
    [[ -n "$files" ]] && _files
    return 0
}
if [[ "${funcstack[1]}" == "_argosy" ]]; then
    _argosy "$@"
elif (( ${+functions[compdef]} )); then
    compdef _argosy argosy
fi
"""
_FISH = r"""# fish completion for argosy
function __argosy_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in (argosy __complete $words[2..-1] "$current" 2> /dev/null)
        if test "$line" = ":files"
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c argosy -f -a '(__argosy_complete)'
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def run(context: Context, options: Options, arguments: list[str]) -> int:
    script = _SCRIPTS.get(arguments[0])
    if script is None:
        raise Failure(f"unknown shell {arguments[0]!r}: there are {', '.join(sorted(_SCRIPTS))}")
    sys.stdout.write(script)
    return 0
