#!/bin/sh
# Compiles a crate of the workspace with what guides libFuzzer: counters of the edges taken, and the operands of comparisons.
# `cargo fuzz` passes the same flags, to every crate: see README.md.
case " $* " in
*" --crate-name build_script_build "* | *" --crate-type proc-macro "*) exec "$@" ;;
esac
exec "$@" -Copt-level=1 -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0
