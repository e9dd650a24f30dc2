#!/usr/bin/env bash
# Runs the fuzz targets, each for a few seconds from its seeds: tests/fuzz/run.sh [target...], all of them without
# arguments. Needs a C++ compiler besides what tests/run.sh needs.
#
#   FUZZ_SECONDS=600   for how long each target runs, in place of 10 s
#   FUZZ_SEED=2        other mutations than those of every run; 0 for new ones each time
#
# What is found, and the input of a failure, is left in tests/fuzz/found/; no seed is ever written.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly FOUND=tests/fuzz/found
declare -A BUILT=()
LOGS=$(mktemp -d)
trap 'rm -rf "$LOGS"' EXIT

# Every target NAME is fuzz/NAME.rs in the crate that parses.
sources() {
  ls crates/*/fuzz/*.rs tests/fuzz/fuzz/*.rs
}

# With the profile and the features of the other suites, so that only crates of ours are built anew: they are those that
# RUSTC_WORKSPACE_WRAPPER compiles.
build() {
  local source options=() executable
  for source in "$@"; do options+=(--bin "$(basename "$source" .rs)"); done
  RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/rustc.sh cargo test --workspace --features leasehold-fuzz/targets --no-run \
    --message-format=json-render-diagnostics "${options[@]}" >"$LOGS/built"
  while read -r executable; do
    BUILT[$(basename "${executable%-*}")]=$executable
  done < <(sed -n 's/^.*"executable":"\([^"]*\)".*$/\1/p' "$LOGS/built")
}

# fuzz SOURCE: its log and status are left in $LOGS.
fuzz() {
  local source=$1 name seeds options=() status=0
  name=$(basename "$source" .rs)
  seeds=$(dirname "$source")/seeds/$name
  if [[ -e ${source%.rs}.dict ]]; then options+=("-dict=${source%.rs}.dict"); fi
  mkdir -p "$FOUND/$name"
  # The longest seeds have 2 KiB, and the longest envelope 4. An answer takes a millisecond, so one that takes 20 s hangs.
  TMPDIR=$LOGS "${BUILT[$name]}" "-artifact_prefix=$FOUND/$name-" "-max_total_time=${FUZZ_SECONDS:-10}" "-seed=${FUZZ_SEED:-1}" \
    -timeout=20 -rss_limit_mb=2048 -max_len=6000 -print_final_stats=1 "${options[@]}" \
    "$FOUND/$name" "$seeds" >"$LOGS/$name" 2>&1 || status=$?
  echo "$status" >"$LOGS/$name.status"
}

main() {
  local source name passed=0 failed=() input runs
  local -a chosen=()
  for source in $(sources); do
    name=$(basename "$source" .rs)
    if (($# == 0)) || [[ " $* " == *" $name "* ]]; then chosen+=("$source"); fi
  done
  if ((${#chosen[@]} == 0)); then
    echo "no such target; there are: $(sources | xargs -n1 basename -s .rs | xargs)" >&2
    exit 2
  fi
  build "${chosen[@]}"
  for source in "${chosen[@]}"; do
    while (($(jobs -rp | wc -l) >= $(nproc))); do wait -n; done
    fuzz "$source" &
  done
  wait
  for source in "${chosen[@]}"; do
    name=$(basename "$source" .rs)
    runs=$(awk '/stat::number_of_executed_units/ { print $2 }' "$LOGS/$name")
    echo "$name: ${runs:-no} runs, status $(cat "$LOGS/$name.status")"
    if [[ $(cat "$LOGS/$name.status") == 0 ]]; then passed=$((passed + 1)); else failed+=("$name"); fi
  done
  if ((${#failed[@]} > 0)); then echo "failures:"; fi
  for name in "${failed[@]}"; do
    echo "--- $name"
    tail -n 40 "$LOGS/$name"
    input=$(sed -n 's/^.*Test unit written to //p' "$LOGS/$name" | tail -n 1)
    if [[ -n $input ]]; then
      echo "the input in base64: $(base64 -w0 "$input")"
      echo "once more: base64 -d <<<'…' >input; ${BUILT[$name]} input"
    fi
  done
  # As cargo says it, for tests/run.sh.
  echo "test result: $( ((${#failed[@]} == 0)) && echo ok || echo FAILED). $passed passed; ${#failed[@]} failed"
  ((${#failed[@]} == 0))
}

main "$@"
