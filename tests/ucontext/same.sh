#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs programs, and fails unless all print the same as the first one.
# Usage: [MESON_EXE_WRAPPER=...] same.sh PROGRAM...
set -eu
run=${MESON_EXE_WRAPPER-}	# for another CPU
want=$($run "$1")
echo "1..$(($# - 1))"
n=0 failed=0
shift
for program; do
	n=$((n + 1))
	if got=$($run "$program") && [ "$got" = "$want" ] && [ -n "$got" ]; then
		echo "ok $n - $(basename "$program")"
	else
		echo "not ok $n - $(basename "$program")"
		failed=1
	fi
done
exit $failed
