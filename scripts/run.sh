#!/usr/bin/env bash
# What `make run` calls: starts clawstore on this machine with the samples of manifests/samples and shows them become
# Ready. Started a second time on the same state directory it attaches to the one that runs. Ctrl-C leaves mounts in
# place; the next start adopts them.
#   RUN_ONCE=1              end when the samples are Ready: exit code 0, or 1 naming what is not
#   RUN_TIMEOUT             how many seconds RUN_ONCE waits (default 60)
#   CLAWSTORE_STATE_DIR     where it keeps its state (default /var/lib/clawstore)
#   CLAWSTORE_MOUNT_ROOT    below which it mounts    (default /run/clawstore/mounts)
# Every other setting of `clawstore up` works as well: see `npx clawstore up --help`.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
checkout=$PWD
export PATH="$checkout/node_modules/.bin:$PATH"

now() { date +%s%3N; }
line() { # line NAME START TEXT: one step, with the time since START
  local ms=$(($(now) - $2))
  printf 'run: %-24s %6d.%03d s  %s\n' "$1" $((ms / 1000)) $((ms % 1000)) "$3"
}
die() { # one line: what is wrong, and what to do
  printf 'run: %s\n' "$1" >&2
  exit "${2:-1}"
}

[ "$(id -u)" = 0 ] || die "mounting needs root: run the same command again as root, e.g. 'sudo make run'"
case ${RUN_ONCE:-} in '' | 0 | 1) ;; *) die "RUN_ONCE is '$RUN_ONCE': say RUN_ONCE=1, or leave it out" 2 ;; esac
[ -f dist/cli.js ] || die "nothing is built yet: say 'make run', which builds first"

state=${CLAWSTORE_STATE_DIR:-/var/lib/clawstore}
mounts=${CLAWSTORE_MOUNT_ROOT:-/run/clawstore/mounts}
for folder in "$state" "$mounts"; do
  case $(readlink -m -- "$folder")/ in
    "$checkout"/*) die "$folder lies in the checkout, where cleaning up would delete data: choose another directory" 2 ;;
  esac
done
start=$(now)
line 'directories' "$start" "state in $state, mounts below $mounts"

new_enough() { # the client's version is 1.29 or newer
  [[ $("$1" version --client 2>/dev/null) =~ v([0-9]+)\.([0-9]+)[^[:space:]]* ]] || return 1
  version=${BASH_REMATCH[0]}
  ((BASH_REMATCH[1] > 1 || BASH_REMATCH[2] >= 29))
}

# The client is not needed to run, only to try things out: without it everything still starts.
start=$(now)
hint=
if kubectl=$(command -v kubectl) && new_enough "$kubectl"; then
  line 'kubectl' "$start" "$version, $kubectl"
elif kubectl=$(node scripts/tools.ts path kubectl) && new_enough "$kubectl"; then
  line 'kubectl' "$start" "$version, not in your PATH yet"
  hint="export PATH=${kubectl%/*}:\$PATH"
else
  line 'kubectl' "$start" "1.29 or newer is not here and could not be fetched (above): all but kubectl works"
fi

# Debian's own may be too old; one of a newer suite is unpacked beside the system. Without it s3 volumes are off.
start=$(now)
if rclone=$(node scripts/tools.ts path rclone); then
  export PATH="$PATH:${rclone%/*}"
  line 'rclone' "$start" "$rclone"
else
  line 'rclone' "$start" "1.68 or newer is not here and could not be fetched (above): off: s3 volumes"
fi

options=(--apply manifests/samples)
if [ -z "${CLAWSTORE_METRICS:-}" ]; then
  # The same port every time, for a Prometheus that scrapes it, unless somebody else has it.
  port=9469
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then port=0; fi
  options+=(--metrics "127.0.0.1:$port")
fi
if [ "${RUN_ONCE:-}" = 1 ]; then options+=(--until-ready --timeout "${RUN_TIMEOUT:-60}"); else options+=(--live); fi
[ -z "$hint" ] || printf 'run: to have kubectl in another terminal:\n  %s\n' "$hint"
exec bin/clawstore up "${options[@]}"
