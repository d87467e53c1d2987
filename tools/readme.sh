#!/bin/sh
# SPDX-License-Identifier: MIT
# Compiles the first C program of README.md against the build in BUILDDIR and
# runs it; it must print what the README says.
# Usage: tools/readme.sh BUILDDIR CC...
set -eu
build=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed -n '/^```c$/,/^```$/p' "$root/README.md" | sed '/^```/d' > "$work/hello.c"
"$@" -std=c11 -Wall -Wextra -Werror -I"$root/include" -o "$work/hello" \
	"$work/hello.c" "$build/libtuck.a" -lpthread
printf '1\n4\n9\n16\n25\n' > "$work/expected"
"$work/hello" > "$work/printed"
cmp "$work/expected" "$work/printed"
