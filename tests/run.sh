#!/usr/bin/env bash
# Runs the test suites: tests/run.sh [suite...], all of them without arguments.
#
#   unit         every crate's own tests and documentation examples
#   e2e          the real server and binary over real sockets, against the simulated cloud
#   faults       the same with networks, clouds, disks and signals that do not do as they should; compares docs/faults.md
#   memory       the release binary's memory, looked at from outside: needs root, or unprivileged user namespaces; compares
#                docs/memory.md
#   conformance  official clients and independent servers, driven from Python, and the lint of the API
#   fuzz         whatever is parsed, the clouds' answers among it, for some seconds each: see tests/fuzz
#
# Needs Rust, a C++ compiler and Python 3.11 with venv; PYTHON names another interpreter. Each suite ends with one line,
# "unit: 123 passed, 0 failed", and what failed is printed last. All suites share one target directory, profile and set
# of features, so that nothing is built twice, save for memory, which needs the release binary, and fuzz, which needs our own
# crates otherwise. Whatever a suite starts is in its process group, which ends with it. LEASEHOLD_WRITE_REPORT=1 has faults
# and memory write their reports in docs/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly SUITES=(unit e2e faults memory conformance fuzz)
readonly VENV=tests/.venv
LOGS=$(mktemp -d)
GROUP=0
FAILED=()

usage() {
  echo "usage: tests/run.sh [suite...]   suites: ${SUITES[*]}" >&2
  exit 2
}

# === the suites ===

unit() {
  cargo test --workspace --no-fail-fast
}

e2e() {
  cargo test --workspace --test e2e -- --skip faults:: --skip memory::
}

# All at once, for nearly all of its time is spent waiting.
faults() {
  cargo test --workspace --test e2e -- faults:: --test-threads=16
}

memory() {
  # Nobody may read the memory of a process that is not dumpable but whoever has CAP_SYS_PTRACE where it runs, which is what
  # root of a user namespace of its own has.
  local as_root=()
  if ((EUID != 0)); then as_root=(unshare --user --map-root-user); fi
  cargo build --release
  cargo test --workspace --test e2e --no-run
  # One at a time: each has a process of its own to look at, and seconds are counted.
  LEASEHOLD_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/release/leasehold") \
    "${as_root[@]}" cargo test --workspace --test e2e memory:: -- --test-threads=1 --nocapture
}

conformance() {
  make_venv
  # As in e2e, which needs the binary too: other arguments would select other features and build it anew.
  cargo test --workspace --test e2e --no-run
  LEASEHOLD_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/debug/leasehold") \
    PYTHONDONTWRITEBYTECODE=1 "$VENV/bin/python" -m pytest -q --tb=short tests/conformance
}

# Not a test of cargo's, but it ends as one.
fuzz() {
  tests/fuzz/run.sh
}

# A virtual environment with exactly what requirements.txt names.
make_venv() {
  local requirements=tests/conformance/requirements.txt stamp=$VENV/requirements.sha256
  if sha256sum --check --status "$stamp" 2>/dev/null; then return; fi
  rm -rf "$VENV"
  "${PYTHON:-python3}" -m venv "$VENV"
  "$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
  sha256sum "$requirements" >"$stamp"
}

# === running them ===

# Runs a suite in a process group of its own, with its output in a log. Not to be called where `set -e` is ignored (after
# `if` or before `||`), because the suite would ignore it too.
run() {
  local suite=$1 log=$LOGS/$1 status=0
  echo "$suite: running" >&2
  set -m
  "$suite" >"$log" 2>&1 </dev/null &
  GROUP=$!
  set +m
  wait "$GROUP" || status=$?
  end_group
  report "$suite" "$log" "$status"
}

# Ends what is left of the group: politely at first, so that it can end what it started in turn.
end_group() {
  local signal
  for signal in INT TERM KILL; do
    if ((GROUP == 0)) || ! kill "-$signal" -- "-$GROUP" 2>/dev/null; then break; fi
    for _ in {1..50}; do
      if ! kill -0 -- "-$GROUP" 2>/dev/null; then break 2; fi
      sleep 0.1
    done
  done
  GROUP=0
}

# Prints the closing line, with the sums of the result lines of cargo and pytest.
report() {
  local suite=$1 log=$2 status=$3 passed failed
  read -r passed failed < <(awk '
    /^test result:/ { passed += $4; failed += $6 }
    /^[0-9]+ (passed|failed|error|xfailed).* in [0-9.]+s/ {
      for (i = 1; i < NF; i++) {
        if ($(i + 1) ~ /^passed/) passed += $i
        if ($(i + 1) ~ /^(failed|error)/) failed += $i
      }
    }
    END { print passed + 0, failed + 0 }' "$log")
  # What did not build, crashed or found no tests has no result line to say so.
  if ((status != 0 && failed == 0)) || ((passed + failed == 0)); then failed=1; fi
  echo "$suite: $passed passed, $failed failed"
  if ((failed > 0)); then FAILED+=("$suite"); fi
}

# The part of a log that says what failed.
show_failures() {
  local log=$1 found
  found=$(awk '
    /^failures:$|^=+ (FAILURES|ERRORS) =+$|^error(\[|:)/ { on = 1 }
    on { print }
    /^test result:/ { on = 0 }' "$log" | tail -n 300)
  if [[ -n $found ]]; then echo "$found"; else tail -n 100 "$log"; fi
}

main() {
  local suite
  for suite in "$@"; do
    if [[ " ${SUITES[*]} " != *" $suite "* ]]; then usage; fi
  done
  if (($# == 0)); then set -- "${SUITES[@]}"; fi
  for suite in "$@"; do
    run "$suite"
  done
  for suite in "${FAILED[@]}"; do
    echo "--- what failed in $suite"
    show_failures "$LOGS/$suite"
  done
  ((${#FAILED[@]} == 0))
}

trap 'end_group; rm -rf "$LOGS"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
main "$@"
