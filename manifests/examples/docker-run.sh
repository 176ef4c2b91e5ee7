#!/usr/bin/env bash
# The same with docker run: the *parent* of the mount, bound with rslave propagation, so that a mount that clawstore had to
# make anew reaches the running container. The files are in /scratch/data. The volume is the one of
# manifests/samples/scratch.yaml, on this machine with the default mount root.
set -euo pipefail
exec docker run --rm \
  --mount type=bind,source=/run/clawstore/mounts/default/scratch-trainer,target=/scratch,bind-propagation=rslave \
  busybox:1.36 sleep infinity
