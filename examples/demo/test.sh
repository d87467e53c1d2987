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

# Whether the last table has a row with such a figure.
check_row()	# name pattern
{
	point=$((point + 1))
	if echo "$out" | grep -Eq "^$2"; then
		echo "ok $point - $1"
	else
		echo "not ok $point - $1"
	fi
}

echo 1..4
check "every byte comes back" 0 0 --programs "$1"
check_row "memory of the program is told" \
	"user-space memory, resident +-?[0-9,]+ bytes per idle connection"
check_row "memory of the kernel is told" \
	"kernel memory, for both ends +-?[0-9,]+ bytes per connection"
check "a wrong byte fails it" 1 1 --programs "$1" --self-check
