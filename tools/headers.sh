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

# all NAME [argument...]
all() {
	what=$1
	shift
	for std in c99 c11; do
		# shellcheck disable=SC2086
		try "$what as $std" $cc -std=$std "$@" -x c
	done
	if command -v "$cxx" >/dev/null; then
		try "$what as c++17" "$cxx" -std=c++17 "$@" -x c++
	else
		n=$((n + 1))
		echo "ok $n - $what as c++17 # SKIP no C++ compiler"
	fi
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for h in tuck.h $(cd include && echo tuck/*.h); do
	# Twice, for the include guard.
	printf '#include <%s>\n#include <%s>\nint main(void) { return 0; }\n' \
		"$h" "$h" >"$tmp/x.c"
	case $h in
	tuck/ucontext.h) all "$h" -D_XOPEN_SOURCE=700 ;;	# stack_t
	*)		 all "$h" ;;
	esac
done

# A program for glibc's ucontext, which does not know of ours.
cat >"$tmp/x.c" <<END
#include <ucontext.h>
int main(void)
{
	struct ucontext_t a;
	ucontext_t b;
	int (*swap)(ucontext_t *, const ucontext_t *) = swapcontext;
	return getcontext(&a) < 0 || swap(&a, &b) < 0 || setcontext(&b);
}
END
all "POSIX's names" -D_XOPEN_SOURCE=700 -Iinclude/tuck/posix
echo "1..$n"
exit $failed
