#!/usr/bin/env bash
# Looks at what this machine can do for the product and its tests, and prints a table: capability, yes or no, version.
# It prints no addresses, host names or paths. Everything it makes lies in a temporary folder and a private mount
# namespace, and is gone afterwards.
#   e2e/probe.sh                  the table on stdout
#   e2e/probe.sh --write FILE     the same as a document
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ "$(id -u)" = 0 ] || { echo 'probe: needs root: run it with sudo' >&2; exit 1; }
if [ -z "${CLAWSTORE_PROBE_INNER:-}" ]; then
  # Whatever happens to a mount in here ends with this process.
  exec env CLAWSTORE_PROBE_INNER=1 unshare --mount --propagation private bash "$0" "$@"
fi
write=
[ "${1:-}" = --write ] && write=$2
work=$(mktemp -d)
trap 'umount -q -R "$work"/* 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
export PATH=$top/node_modules/.bin:$PATH:/usr/local/go/bin:/usr/sbin:/sbin

table=$work/table
row() { # row NAME yes|no DETAIL
  printf '| %s | %s | %s |\n' "$1" "$2" "$3" >>"$table"
  [ -z "$write" ] || printf 'probe: %-34s %-4s %s\n' "$1" "$2" "$3"
}
# check NAME SECONDS FUNCTION: yes when the function succeeds in time; its last output line is the detail.
# The function runs under `set -e`; mind that `! command` and `a && b` do not stop it.
check() {
  local name=$1 seconds=$2 out
  shift 2
  if out=$(cd "$work" && timeout --kill-after=5 "$seconds" bash -euo pipefail -c "$(declare -f "$@" has); $1" 2>"$work/stderr"); then
    row "$name" yes "$(tail -n 1 <<<"$out" | tr '|' '/')"
  else
    row "$name" no "$(tail -n 1 <<<"$out" | tr '|' '/')"
  fi
}
has() { command -v "$1" >/dev/null || { echo "no $1 here"; exit 1; }; }
export work top

registry_npm() { has npm; echo "npm $(npm -v), fetched koffi $(npm view koffi version)"; }
registry_go() {
  has go
  mkdir -p gomod && cd gomod
  # An empty module cache, so that the proxy really has to answer.
  export GOMODCACHE=$work/gomodcache GOFLAGS='-modcacherw -buildvcs=false' GOTOOLCHAIN=local
  printf 'module probe.test/m\n\ngo 1.21\n' >go.mod
  printf 'package main\n\nimport (\n\t"fmt"\n\n\t"sigs.k8s.io/yaml"\n)\n\nfunc main() { b, _ := yaml.Marshal(map[string]int{"built": 1}); fmt.Print(string(b)) }\n' >main.go
  go get sigs.k8s.io/yaml@v1.4.0 >/dev/null
  go build -o probe .
  [ "$(./probe)" = 'built: 1' ]
  echo "$(go version | cut -d' ' -f3), built and ran a module with one dependency"
}
registry_debian() {
  has apt-get
  mkdir -p deb && cd deb
  apt-get -qq -o APT::Sandbox::User=root download hostname >/dev/null || { apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download hostname >/dev/null; }
  echo "Debian $(cat /etc/debian_version), fetched $(ls | cut -d_ -f1,2 | tr _ ' ')"
}
registry_pypi() { has pip; env -u PIP_FIND_LINKS pip download -q --no-deps --no-cache-dir -d pypi six >/dev/null; echo "$(pip --version | cut -d' ' -f1,2), fetched $(ls pypi | cut -d- -f1,2 | tr - ' ')"; }
registry_crates() { has cargo; cargo init -q --name probe crate >/dev/null; cd crate; echo 'itoa = "1"' >>Cargo.toml; CARGO_HOME=$work/cargo cargo fetch -q >/dev/null; echo "$(cargo --version | cut -d' ' -f1,2), fetched itoa"; }
registry_maven() { has mvn; mvn -q -B -Dmaven.repo.local="$work/m2" dependency:get -Dartifact=org.hamcrest:hamcrest:3.0 -Dtransitive=false >/dev/null; echo "Maven $(mvn -q --version | head -n 1 | grep -oE '[0-9.]+' | head -n 1), fetched hamcrest"; }

node_24() { has node; [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 24 ]; node -v; }
koffi_loads() { has node; cd "$top"; node -e 'const k = require("koffi"); const f = k.load("libc.so.6").func("int getpid()"); if (f() !== process.pid) process.exit(1); console.log("koffi " + k.version)'; }
loop_xfs() {
  has mkfs.xfs
  truncate -s 320M xfs.img && mkdir -p xfs
  mkfs.xfs -q -K -f -s size=4096 -m reflink=1 xfs.img
  mount -o loop,discard xfs.img xfs
  dd if=/dev/urandom of=xfs/a bs=1M count=8 status=none
  cp --reflink=always xfs/a xfs/b && cmp xfs/a xfs/b
  truncate -s 400M xfs.img && losetup -c "$(findmnt -no SOURCE xfs)" && xfs_growfs xfs >/dev/null
  umount xfs
  mkfs.xfs -V | sed 's/mkfs.xfs version/xfsprogs/; s/$/, cloned a file, grown online/'
}
loop_direct() { truncate -s 64M dio.img; d=$(losetup --find --show --direct-io=on --sector-size 4096 dio.img); losetup -d "$d"; losetup --version | grep -oE 'util-linux [0-9.]+'; }
btrfs_pool() { has mkfs.btrfs; truncate -s 256M btrfs.img; mkfs.btrfs -q btrfs.img; mkdir -p btrfs; mount -o loop btrfs.img btrfs; btrfs -q subvolume create btrfs/s; btrfs -q subvolume snapshot -r btrfs/s btrfs/t; umount btrfs; mkfs.btrfs --version | head -n 1 | sed 's/mkfs.btrfs, part of //'; }
btrfs_quota() { has mkfs.btrfs; truncate -s 256M quota.img; mkfs.btrfs -q quota.img; mkdir -p quota; mount -o loop quota.img quota; btrfs quota enable --simple quota 2>/dev/null || { umount quota; echo 'simple quota: refused'; exit 1; }; umount quota; echo 'simple quota'; }
ext4_grow() { truncate -s 64M ext4.img; mkfs.ext4 -q ext4.img; mkdir -p ext4; mount -o loop ext4.img ext4; truncate -s 96M ext4.img; l=$(findmnt -no SOURCE ext4); losetup -c "$l"; resize2fs "$l" >/dev/null 2>&1 || { umount ext4; echo 'mounted, but not grown online (CAP_SYS_RESOURCE?)'; exit 1; }; umount ext4; echo 'grown online'; }
tmpfs_size() { mkdir -p tmpfs; mount -t tmpfs -o size=1M none tmpfs; if dd if=/dev/zero of=tmpfs/f bs=1M count=2 status=none 2>/dev/null; then echo 'not enforced'; exit 1; fi; umount tmpfs; echo 'limit enforced'; }
fuse_mount() {
  mkdir -p fuse
  exec 5<>/dev/fuse
  mount -i -t fuse -o fd=5,rootmode=40000,user_id=0,group_id=0 probe fuse
  # The kernel's FUSE_INIT: bytes 4-7 are the opcode (26), bytes 40-47 the protocol it speaks.
  dd bs=8192 count=1 status=none <&5 >init.bin
  umount -l fuse
  [ "$(od -An -tu4 -j4 -N4 init.bin | tr -d ' ')" = 26 ]
  set -- $(od -An -tu4 -j40 -N8 init.bin)
  echo "protocol $1.$2$(command -v fusermount3 >/dev/null && echo ", $(fusermount3 --version | grep -oE '[0-9.]+$' | sed 's/^/fuse3 /')")"
}
overlay_mount() { mkdir -p lower upper workdir merged t; mount -t tmpfs none t; mkdir t/u t/w; mount -t overlay -o lowerdir=lower,upperdir=t/u,workdir=t/w none merged; umount merged t; echo mounted; }
mount_ns() { unshare --mount --propagation private sh -ec 'mount -t tmpfs none /mnt; grep -q " /mnt " /proc/self/mountinfo'; if grep -q ' /mnt ' /proc/self/mountinfo; then echo 'a mount came out'; exit 1; fi; echo "mounts inside stay inside"; }
propagation() { findmnt -no PROPAGATION / --task 1; }
pid_ns() { [ "$(unshare --pid --fork --mount-proc sh -c 'echo $$')" = 1 ]; echo 'init has PID 1'; }
net_ns() { [ "$(unshare --net sh -c 'tail -n +3 /proc/net/dev | wc -l')" = 1 ]; if command -v ip >/dev/null; then unshare --net sh -c 'ip link set lo up && ip link add veth0 type veth peer name veth1 && ip link set veth0 up'; echo 'own interfaces, veth pairs'; else echo 'own interfaces'; fi; }
user_ns() { unshare --user --map-root-user true; echo 'as root'; }
mount_api() {
  has node
  cd "$top"
  node -e '
    const koffi = require("koffi");
    const syscall = koffi.load("libc.so.6").func("long syscall(long, long, long, long, long, long)");
    // A call the kernel does not have answers ENOSYS; any other answer, also a refusal of these arguments, means it is there.
    const calls = { open_tree: 428, move_mount: 429, openat2: 437, mount_setattr: 442, statmount: 457, listmount: 458 };
    const lacking = Object.entries(calls).filter(([, nr]) => syscall(nr, -1, 0, 0, 0, 0) === -1 && koffi.errno() === 38).map(([name]) => name);
    console.log(lacking.length ? "lacks " + lacking.join(", ") : Object.keys(calls).join(", "));
    process.exit(lacking.length ? 1 : 0);'
}
filesystem() { grep -qw "$1" /proc/filesystems || modprobe -q "$1" 2>/dev/null; grep -qw "$1" /proc/filesystems; }
nfs_client() { filesystem nfs4 || { echo 'not in the kernel'; exit 1; }; echo 'in the kernel'; }
device_mapper() { modprobe -q dm-mod 2>/dev/null || true; grep -q device-mapper /proc/misc || { echo 'not in the kernel'; exit 1; }; echo 'in the kernel'; }
uml_boots() {
  has node
  uml=$(node "$top/scripts/tools.ts" path linux.uml 2>/dev/null) || { echo 'no linux.uml'; exit 1; }
  printf '#!/bin/sh\nmount -t proc proc /proc\necho "UML-BOOTED $(uname -r)"\necho o >/proc/sysrq-trigger\nsleep 5\n' >uml-init
  chmod +x uml-init
  # The whole line is kept: User-Mode Linux says on its own console what the guest says on its.
  TMPDIR=$work "$uml" seccomp=auto uml_dir="$work/" rootfstype=hostfs rootflags=/ rw init="$work/uml-init" mem=128M con=null con0=null,fd:1 </dev/null >uml.out 2>&1 || true
  grep -oE 'UML-BOOTED [0-9.]+' uml.out | sed 's/UML-BOOTED/booted Linux/'
}

row 'Linux kernel' yes "$(uname -r | grep -oE '^[0-9]+\.[0-9]+(\.[0-9]+)?'), $(uname -m), $(nproc) cores, $(awk '/MemTotal/ { printf "%d GiB", $2 / 1048576 + 0.5 }' /proc/meminfo)"
check 'registry: npm' 90 registry_npm
check 'registry: Debian packages' 120 registry_debian
check 'registry: Go modules, one built' 180 registry_go
check 'registry: PyPI' 90 registry_pypi
check 'registry: crates.io' 120 registry_crates
check 'registry: Maven' 180 registry_maven
check 'Node >= 24' 20 node_24
check 'koffi calls into libc' 20 koffi_loads
check 'system calls for mounts' 20 mount_api
check 'tmpfs with a size' 20 tmpfs_size
check 'loop device + XFS with reflink' 60 loop_xfs
check 'loop device, direct I/O, 4096' 20 loop_direct
check 'btrfs with snapshots' 60 btrfs_pool
check 'btrfs simple quota' 60 btrfs_quota
check 'ext4 grown online' 60 ext4_grow
check 'FUSE' 20 fuse_mount
check 'overlay' 20 overlay_mount
check 'mount namespace' 20 mount_ns
check 'propagation of the root mount' 20 propagation
check 'PID namespace' 20 pid_ns
check 'network namespace' 20 net_ns
check 'user namespace' 20 user_ns
check 'NFS client' 20 nfs_client filesystem
check 'device mapper' 20 device_mapper
check 'User-Mode Linux boots' 120 uml_boots

print_table() {
  echo '| capability | here | version or detail |'
  echo '|---|---|---|'
  cat "$table"
}
if [ -z "$write" ]; then
  print_table
else
  {
    echo '# What the test machine can do'
    echo
    echo "Written by \`make probe\` (\`e2e/probe.sh\`): run it again on another machine and compare. A *no* is a fact to design"
    echo 'around: the product probes the same things at run time and says what is off.'
    echo
    print_table
  } >"$write.new"
  mv "$write.new" "$write"
fi
