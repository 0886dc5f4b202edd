"""What a shell needs so that the Tab key completes crt: a few lines, and where they go.

They start crt with ``_CRT_COMPLETE`` set, and give it the words that were typed. It answers with a line for each value, a tab and
a few words about it. Its exit code says whether files are fit as well.
"""

from __future__ import annotations

from pathlib import Path

from coiled_runtime_cli import atomic
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import ToolError, UsageError

#: The exit code of an answer after which the shell offers files too.
FILES = 3

_BASH = """\
_crt_complete() {
    local answer files value
    answer=$(_CRT_COMPLETE=bash _CRT_BREAKS="$COMP_WORDBREAKS" "$1" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    files=$?
    COMPREPLY=()
    while IFS= read -r value; do
        [ -n "$value" ] && COMPREPLY+=("$value")
    done <<< "$answer"
    if [ "$files" -eq 3 ] && [ "${#COMPREPLY[@]}" -eq 0 ]; then
        compopt -o default
    fi
}
complete -F _crt_complete crt
"""

_ZSH = """\
#compdef crt
_crt() {
    local answer files line
    local -a values shown
    answer="$(_CRT_COMPLETE=zsh "${(Q)words[1]}" "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)"
    files=$?
    for line in "${(@f)answer}"; do
        [[ -n "$line" ]] || continue
        values+=("${line%%$'\\t'*}")
        if [[ "${line#*$'\\t'}" == "" || "$line" != *$'\\t'* ]]; then
            shown+=("${line%%$'\\t'*}")
        else
            shown+=("${line%%$'\\t'*}  -- ${line#*$'\\t'}")
        fi
    done
    (( ${#values} )) && compadd -l -d shown -a values
    if (( files == 3 )); then
        _files
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _crt crt
"""

_FISH = """\
function __crt_complete
    set -l words (commandline -opc)
    set -l word (string unescape -- (commandline -ct) | string collect)
    set -l answer (_CRT_COMPLETE=fish $words[1] $words[2..] "$word" 2>/dev/null)
    set -l files $status
    test (count $answer) -gt 0; and printf '%s\\n' $answer
    test $files -eq 3; and __fish_complete_path (commandline -ct)
    return 0
end
complete --command crt --no-files --arguments '(__crt_complete)'
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
SHELLS = tuple(_SCRIPTS)


def script(shell: str) -> str:
    """What completes in a shell. Raises UsageError for one that is not known."""
    if shell not in _SCRIPTS:
        raise UsageError(unknown("shell", shell, SHELLS), hint="crt --show-completion bash, zsh or fish")
    return _SCRIPTS[shell]


def current(fallback: str | None) -> str:
    """The shell that started this process; else ``fallback``, a path of one. Raises UsageError where neither is known."""
    import shellingham

    try:
        name: str = shellingham.detect_shell()[0]
    except (shellingham.ShellDetectionFailure, OSError, ValueError):
        name = Path(fallback or "").name
    if name not in _SCRIPTS:
        raise UsageError(
            f"there is no completion for {name}" if name else "which shell this is cannot be told",
            hint="name one: crt --show-completion bash, zsh or fish",
        )
    return name


def install(shell: str, home: Path, fish: Path) -> Path:
    """Write what completes where the shell looks for it; its file. A second time changes nothing.

    ``fish`` is the folder of fish's configuration. Raises ToolError where a file cannot be written.
    """
    if shell == "fish":
        target, start = fish / "completions" / "crt.fish", None
    else:
        target, start = home / f".crt-completion.{shell}", home / f".{shell}rc"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(target, script(shell).encode())
        if start is not None:
            _source(start, target)
    except OSError as error:
        raise ToolError(
            f"cannot install the completion: {error.strerror or error}: {error.filename or target}",
            hint=f"crt --show-completion {shell} prints it",
        ) from error
    return target


def _source(start: Path, target: Path) -> None:
    """Have the file that the shell starts with read another one."""
    line = f"[ -r ~/{target.name} ] && . ~/{target.name}\n"
    start = start.resolve()  # it may be a link into a repository of dot files
    there = start.read_bytes() if start.exists() else b""
    if line.encode() not in there:
        gap = b"" if not there or there.endswith(b"\n") else b"\n"
        atomic.write(start, there + gap + line.encode(), like=start if start.exists() else None)
