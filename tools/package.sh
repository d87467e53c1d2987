#!/bin/sh
# SPDX-License-Identifier: MIT
# A program that uses Tuck as users get it.
# Usage: tools/package.sh install BUILDDIR    through pkg-config, from an
#                                             installed tree, shared, static
#        tools/package.sh subproject BUILDDIR as a Meson subproject
set -eux
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$2" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset DESTDIR MESON_TESTTHREADS NINJA_STATUS

cat >"$tmp/main.c" <<'END'
#include <stdio.h>
#include <tuck.h>

static int ran;

static void fn(void *arg)
{
	ran += *(int *)arg;
}

int main(void)
{
	int one = 1;
	tuck_id id = tuck_go(fn, &one);

	if (id < 0 || tuck_join(id, TUCK_FOREVER) < 0 || ran != 1)
		return 1;
	puts(tuck_version());
	return 0;
}
END

cat >"$tmp/spin.c" <<'END'
#include <tuck.h>

static void spin(void *arg)
{
	for (volatile int *n = arg;; ++*n)
		;
}

int main(void)
{
	int n = 0;
	tuck_id id = tuck_go(spin, &n);

	return tuck_run(1000) != id;
}
END

# Pre-emption, with the compiler's flag and the linker's as pkg-config has them.
preempt() {
	package=tuck-preempt
	case $(${CC:-cc} --version) in
	*clang*) flag=clang_cflags ;;
	*)	 flag=gcc_cflags ;;
	esac
	# shellcheck disable=SC2046
	${CC:-cc} -O2 -Wall -Werror "$tmp/spin.c" -o "$tmp/spin" \
		$(pkg-config --variable=$flag tuck-preempt) \
		$(flags --cflags --libs)
	LD_LIBRARY_PATH=$lib timeout 60 "$tmp/spin"
}

# TLS, which takes OpenSSL in by its own pkg-config file where it is static.
tls() {
	package=tuck-tls
	# shellcheck disable=SC2046
	${CC:-cc} -Wall -Werror "$root/examples/fetch.c" -o "$tmp/fetch" \
		$(flags --cflags --libs)
	LD_LIBRARY_PATH=$lib "$tmp/fetch" 127.0.0.1:1 localhost / 2>&1 |
		grep -F 'Connection refused'
	readelf -d "$tmp/fetch" | grep -F '[libtuck-tls.so.0]'
	nm -D --defined-only "$lib/libtuck-tls.so" | awk '$2 ~ /[TDBRVW]/ &&
		$3 !~ /^tuck_tls_/ { print "exported:", $3; bad = 1 }
		END { exit bad }'
}

cat >"$tmp/pipe.c" <<'END'
#include <tuck.h>
#include <unistd.h>

static int ends[2];

static void fn(void *arg)
{
	if (write(ends[1], arg, 1) != 1)
		_exit(2);
}

int main(void)
{
	char c = 0;

	if (pipe(ends) < 0 || tuck_go(fn, "x") < 0)
		return 1;
	return read(ends[0], &c, 1) != 1 || c != 'x';
}
END

# Without the hook, the first read would stop the one who is to write.
hook() {
	package=tuck-hook
	# shellcheck disable=SC2046
	${CC:-cc} -O2 -Wall -Werror "$tmp/pipe.c" -o "$tmp/linked" \
		$(flags --cflags --libs)
	LD_LIBRARY_PATH=$lib timeout 60 "$tmp/linked"
	package=tuck
	# shellcheck disable=SC2046
	${CC:-cc} -O2 -Wall -Werror "$tmp/pipe.c" -o "$tmp/preloaded" \
		$(flags --cflags --libs)
	package=tuck-hook
	preload=$(flags --variable=preload)
	[ ! -e "$preload" ] ||		# not built under sanitizers
		LD_LIBRARY_PATH=$lib LD_PRELOAD=$preload timeout 60 \
			"$tmp/preloaded"
}

install() {
	DESTDIR=$tmp/root meson install -C "$build" --no-rebuild --quiet
	pc=$(find "$tmp/root" -name tuck.pc)
	prefix=$tmp/root$(sed -n 's/^prefix=//p' "$pc")
	lib=$(dirname "$(dirname "$pc")")
	export PKG_CONFIG_PATH="${pc%/tuck.pc}"
	package=tuck
	flags() {
		pkg-config --define-variable=prefix="$prefix" "$@" $package
	}
	# shellcheck disable=SC2046
	${CC:-cc} -Wall -Werror "$tmp/main.c" -o "$tmp/shared" \
		$(flags --cflags --libs)
	version=$(LD_LIBRARY_PATH=$lib "$tmp/shared")
	readelf -d "$tmp/shared" | grep -F '[libtuck.so.0]'
	# shellcheck disable=SC2046
	${CC:-cc} -static -Wall "$tmp/main.c" -o "$tmp/static" \
		$(flags --static --cflags --libs)
	[ "$version" = "$("$tmp/static")" ]
	[ "$version" = "$(pkg-config --modversion tuck)" ]
	# A program for POSIX's ucontext, which prints what it does with glibc's.
	program=$root/tests/ucontext/walk.c
	${CC:-cc} "$program" -o "$tmp/theirs"
	package=tuck-ucontext
	# shellcheck disable=SC2046
	${CC:-cc} "$program" -o "$tmp/ours" $(flags --cflags --libs)
	nm "$tmp/ours" | grep -F tuck_posix_swapcontext
	"$tmp/theirs" >"$tmp/want"
	LD_LIBRARY_PATH=$lib "$tmp/ours" | cmp - "$tmp/want"
	preempt
	[ ! -e "$PKG_CONFIG_PATH/tuck-tls.pc" ] || tls
	[ ! -e "$lib/libtuck-hook-static.a" ] || hook
	# Nothing is exported but what the headers promise.
	nm -D --defined-only "$lib/libtuck.so" | awk '$2 ~ /[TDBRVW]/ &&
		$3 !~ /^tuck_[a-z]/ { print "exported:", $3; bad = 1 }
		END { exit bad }'
}

subproject() {
	mkdir -p "$tmp/user/subprojects/tuck"
	cd "$root"
	cp -R meson.build meson_options.txt hook include src \
		"$tmp/user/subprojects/tuck"
	mv "$tmp/main.c" "$tmp/user"
	cat >"$tmp/user/meson.build" <<'END'
project('user', 'c')
tuck_dep = dependency('tuck', fallback: ['tuck', 'tuck_dep'])
test('user', executable('user', 'main.c', dependencies: tuck_dep))
END
	meson setup "$tmp/user/build" "$tmp/user" --wrap-mode=forcefallback
	meson test -C "$tmp/user/build" --print-errorlogs
}

"$1"
