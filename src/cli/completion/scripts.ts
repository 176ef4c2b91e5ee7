/** What shells read once: each asks `clawstore __complete` at every TAB, so that it never says other than the program. */

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

const BASH = String.raw`# bash completion for clawstore
_clawstore() {
  local -a words=() lines=()
  local i word line value out directive cut is_joined=0
  # bash takes --type=nfs and s3://x apart at = and at the colon: put together what belongs together.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${'$'}{COMP_WORDS[i]}
    if ((is_joined == 1)); then
      words[-1]+=$word
      is_joined=0
    elif [[ ($word == = || $word == :) && ${'$'}{#words[@]} -gt 0 ]]; then
      words[-1]+=$word
      is_joined=1
    else
      words+=("$word")
    fi
  done
  out=$("${'$'}{COMP_WORDS[0]/#\~/$HOME}" __complete "${'$'}{words[@]}" 2>/dev/null) || return 0
  mapfile -t lines <<<"$out"
  directive=${'$'}{lines[-1]#:}
  unset 'lines[-1]'
  # Only what stands after the last = or colon is replaced.
  word=${'$'}{COMP_WORDS[COMP_CWORD]}
  [[ $word == = || $word == : ]] && word=
  value=${'$'}{words[-1]}
  cut=${'$'}{value:0:${'$'}{#value}-${'$'}{#word}}
  COMPREPLY=()
  for line in "${'$'}{lines[@]}"; do
    value=${'$'}{line%%$'\t'*}
    COMPREPLY+=("${'$'}{value#"$cut"}")
  done
  case $directive in
    0) ((${'$'}{#COMPREPLY[@]} == 0)) && compopt -o default ;;
    16) ((${'$'}{#COMPREPLY[@]} == 0)) && compopt -o dirnames ;;
  esac
  return 0
}
complete -F _clawstore clawstore
`;

const ZSH = String.raw`#compdef clawstore
# zsh completion for clawstore
_clawstore() {
  local -a lines candidates
  local out directive line value
  out=$("${'$'}{(Q)words[1]}" __complete "${'$'}{(@Q)words[2,CURRENT]}" 2>/dev/null) || return 1
  lines=("${'$'}{(@f)out}")
  directive=${'$'}{lines[-1]#:}
  lines[-1]=()
  for line in "${'$'}{(@)lines}"; do
    value=${'$'}{line%%$'\t'*}
    if [[ $line == *$'\t'* ]]; then
      candidates+=("${'$'}{value//:/\\:}:${'$'}{line#*$'\t'}")
    else
      candidates+=("${'$'}{value//:/\\:}")
    fi
  done
  if (( $#candidates == 0 )); then
    case $directive in
      0) _files ;;
      16) _path_files -/ ;;
    esac
    return
  fi
  _describe -t clawstore clawstore candidates
}
if [[ $funcstack[1] == _clawstore ]]; then
  _clawstore "$@"
else
  compdef _clawstore clawstore
fi
`;

const FISH = String.raw`# fish completion for clawstore
function __clawstore_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l lines (command $words[1] __complete $words[2..-1] "$typed" 2>/dev/null)
    or return
    set -l directive (string sub -s 2 -- $lines[-1])
    set -e lines[-1]
    if test (count $lines) -eq 0
        switch $directive
            case 0
                __fish_complete_path "$typed"
            case 16
                __fish_complete_directories "$typed"
        end
        return
    end
    printf '%s\n' $lines
end
complete -c clawstore -f -a '(__clawstore_complete)'
`;

/** The script of a shell. */
export function completionScript(shell: Shell): string {
  return { bash: BASH, zsh: ZSH, fish: FISH }[shell];
}
