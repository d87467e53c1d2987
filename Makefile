# SPDX-License-Identifier: MIT
# Names for the jobs; the work is in tools/ and meson.build. See HACKING.md.
.PHONY: demo test check cross bench asan python fmt install clean
PREFIX ?= /usr/local
PYTHON ?= python3

demo:
	@tools/setup demo
	@tools/demo

test check cross:
	@tools/setup $@
	@tools/test $@

bench:
	@tools/setup bench
	@tools/bench

asan:
	@tools/setup test
	@tools/test asan

python:
	@tools/setup python
	@tools/python $(PYTHON)

fmt:
	@tools/fmt

install:
	@tools/setup demo
	@test -e build/release/build.ninja || meson setup build/release \
		--buildtype=release -Dtests=false -Dexamples=false \
		-Dpython=disabled
	@meson configure build/release --prefix=$(abspath $(PREFIX)) \
		--libdir=lib
	@meson install -C build/release
	@test -n "$(DESTDIR)" || ldconfig 2>/dev/null || :

clean:
	@rm -rf build
