#!/bin/sh
# SPDX-License-Identifier: MIT
# The demo with few connections, and whether it notices a wrong byte.
# Usage: test.sh DIR, where its programs are; TAP on stdout.
demo=$(dirname "$0")/../../tools/demo
point=0

# Whether the demo with these arguments exits so and reports so many failures.
check()	# name status failures arguments...
{
	name=$1 status=$2 failures=$3
	shift 3
	point=$((point + 1))
	out=$(CONNS=500 "$demo" "$@" 2>&1)
	got=$?
	if [ $got = "$status" ] &&
		echo "$out" | grep -q "^failures  *$failures\$"
	then
		echo "ok $point - $name"
	else
		echo "$out" | sed 's/^/# /'
		echo "# exit status $got"
		echo "not ok $point - $name"
	fi
}

echo 1..2
check "every byte comes back" 0 0 --programs "$1"
check "a wrong byte fails it" 1 1 --programs "$1" --self-check
