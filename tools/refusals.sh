#!/bin/sh
# SPDX-License-Identifier: MIT
# Says in TAP that what the library cannot do does not compile: clang's
# safe-stack, whose second stack no slice has.
cd "$(dirname "$0")/.." || exit 1
if ! command -v clang >/dev/null; then
	echo "1..0 # SKIP clang is not there"
	exit 0
fi

check() {
	clang -std=gnu11 -D_GNU_SOURCE -fsyntax-only "$@" -Iinclude -Isrc \
		"-Isrc/arch/$(uname -m)" src/ctx/ctx.c 2>&1
}

failed=0
echo "1..2"
if check; then
	echo "ok 1 - the library compiles"
else
	echo "not ok 1 - the library compiles"
	failed=1
fi
if said=$(check -fsanitize=safe-stack); then
	echo "not ok 2 - not with safe-stack"
	failed=1
elif echo "$said" | grep -q 'error: "Tuck cannot slice'; then
	echo "ok 2 - not with safe-stack"
else
	echo "$said"
	echo "not ok 2 - not with safe-stack"
	failed=1
fi
exit $failed
