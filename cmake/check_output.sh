#!/bin/sh
# check_output.sh EXPECTED PROGRAM [ARG…] succeeds if PROGRAM does and prints just what EXPECTED holds.
set -eu
expected=$1
shift
actual=$(mktemp)
trap 'rm -f "$actual"' EXIT
status=0
"$@" >"$actual" || status=$?
if [ "$status" -ne 0 ]; then
  cat "$actual"
  echo "$1: exit status $status" >&2
  exit "$status"
fi
diff -u "$expected" "$actual"
