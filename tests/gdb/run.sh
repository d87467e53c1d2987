#!/bin/sh
# SPDX-License-Identifier: MIT
# Lets gdb look at tasklets; TAP on stdout, what gdb says on stderr.
# Usage: tests/gdb/run.sh PROGRAM
if ! gdb -batch -nx -ex 'python import os' >/dev/null 2>&1; then
	echo "1..0 # SKIP no gdb with Python"
	exit 0
fi
exec gdb -batch -nx -x "$(dirname "$0")/steps.py" "$1" 3>&1 >&2 </dev/null
