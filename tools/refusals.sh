#!/bin/sh
# SPDX-License-Identifier: MIT
# Says in TAP that what the library cannot do does not compile: clang's
# safe-stack, whose second stack no slice has, in the library or in a program
# that includes any of its headers.
cd "$(dirname "$0")/.." || exit 1
if ! command -v clang >/dev/null; then
	echo "1..0 # SKIP clang is not there"
	exit 0
fi
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
count=0
failed=0

# What the last command wrote to $dir/said is shown if it is not as it should.
ok() {
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		cat "$dir/said"
		echo "not ok $count - $2"
		failed=1
	fi
}

compiles() {
	clang -D_GNU_SOURCE -fsyntax-only -Iinclude "$@" >"$dir/said" 2>&1
}

refuses() {
	! compiles -fsanitize=safe-stack "$@" &&
		grep -q 'error: .*-fsanitize=safe-stack' "$dir/said"
}

library() {
	"$1" -std=gnu11 -Isrc "-Isrc/arch/$(uname -m)" src/ctx/ctx.c
}

program() {
	printf '#include <%s>\nint main(void) { return 0; }\n' "$2" \
		>"$dir/program.c"
	"$1" "$dir/program.c"
}

echo "1..$((2 + 2 * $(ls include/tuck.h include/tuck/*.h | wc -l)))"
library compiles
ok $? "the library compiles"
library refuses
ok $? "not with safe-stack"
for header in include/tuck.h include/tuck/*.h; do
	header=${header#include/}
	program compiles "$header"
	ok $? "a program with <$header> compiles"
	program refuses "$header"
	ok $? "not with safe-stack"
done
exit $failed
