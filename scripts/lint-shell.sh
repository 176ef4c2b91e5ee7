#!/usr/bin/env bash
# Every shell script parses, is executable, and stops at its first error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bad=0
complain() { echo "$1" >&2; bad=1; }
while IFS= read -r file; do
  case $(head -n 1 "$file") in
    '#!/bin/sh') sh -n "$file" || bad=1 ;;
    '#!/usr/bin/env bash' | '#!/bin/bash') bash -n "$file" || bad=1 ;;
    *) complain "$file: begins with no shell's #! line" ;;
  esac
  [ -x "$file" ] || complain "$file: is not executable"
  grep -qE '^set -[a-z]*e' "$file" || complain "$file: has no 'set -e'"
done < <(find scripts e2e bench bin .ci -type f \( -name '*.sh' -o -path 'bin/clawstore' -o -path '.ci/run' \) 2>/dev/null | sort)
exit "$bad"
