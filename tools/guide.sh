#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles each C program of docs/guide.md against the build in BUILDDIR and
# runs it; it must print what the block after it says. TAP.
# Usage: tools/guide.sh BUILDDIR CC...
set -eu
build=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Blocks are N.c and N.txt; whatever stands between them is left out.
awk -v dir="$work" '
	/^```c$/ { n++; to = dir "/" n ".c"; next }
	/^```$/ && !to { to = dir "/" n ".txt"; next }
	/^```$/ { to = ""; next }
	to { print > to }
' "$root/docs/guide.md"
n=$(find "$work" -name '*.c' | wc -l)
echo "1..$n"
bad=0
i=1
while [ $i -le "$n" ]; do
	if "$@" -std=c11 -Wall -Wextra -Werror -I"$root/include" \
		-o "$work/$i" "$work/$i.c" "$build/libtuck.a" -lpthread &&
		"$work/$i" > "$work/$i.out" && [ -s "$work/$i.txt" ] &&
		diff "$work/$i.txt" "$work/$i.out" >&2
	then
		echo "ok $i"
	else
		echo "not ok $i"
		bad=1
	fi
	i=$((i + 1))
done
exit $bad
