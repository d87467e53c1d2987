#!/bin/sh
# SPDX-License-Identifier: MIT
# Each public header compiles alone, as C99, C11 and C++17, without a warning.
# Usage: tools/headers.sh [compiler and its arguments]; TAP on stdout.
cd "$(dirname "$0")/.." || exit 1
cc=${*:-${CC:-cc}}
cxx=${CXX:-c++}
n=0
failed=0

# try name command...
try() {
	name=$1
	shift
	n=$((n + 1))
	if out=$("$@" -Wall -Wextra -pedantic -Werror -fsyntax-only -Iinclude \
		"$tmp/x.c" 2>&1)
	then
		echo "ok $n - $name"
	else
		echo "$out" >&2
		echo "not ok $n - $name"
		failed=1
	fi
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for h in tuck.h $(cd include && echo tuck/*.h); do
	# Twice, for the include guard.
	printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' \
		"$h" "$h" >"$tmp/x.c"
	case $h in
	tuck/ucontext.h) posix=-D_XOPEN_SOURCE=700 ;;	# stack_t
	*)		 posix= ;;
	esac
	for std in c99 c11; do
		# shellcheck disable=SC2086
		try "$h as $std" $cc -std=$std $posix -x c
	done
	if command -v "$cxx" >/dev/null; then
		try "$h as c++17" "$cxx" -std=c++17 -x c++
	else
		n=$((n + 1))
		echo "ok $n - $h as c++17 # SKIP no C++ compiler"
	fi
done
echo "1..$n"
exit $failed
