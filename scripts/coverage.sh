#!/usr/bin/env bash
# Unit and contract tests under c8: the sums on the terminal, the pages in coverage/index.html.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rm -rf coverage
# Of what it has compiled before, Node counts less exactly.
export NODE_DISABLE_COMPILE_CACHE=1
c8 --src src --include 'src/**' --all --reporter text-summary --reporter html --reporter json-summary --reports-dir coverage \
  node scripts/test.ts --kind "${1:-unit,contract}"
