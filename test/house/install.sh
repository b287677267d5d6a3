#!/bin/sh
# What make install puts down is enough for somebody else: the program of README.md compiles against it, links, and answers.
set -eu
root=$1 build=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cmake --install "$build" --prefix "$dir/usr" > /dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$dir/usr" -name unlearn.pc)")
export PKG_CONFIG_PATH
sed -n '/^```c$/,/^```$/{/^```/!p}' "$root/README.md" > "$dir/job.c"
# shellcheck disable=SC2046
${CC:-cc} -std=c11 -Wall -Wextra -Werror "$dir/job.c" -o "$dir/job" \
    $(pkg-config --define-variable=prefix="$dir/usr" --cflags --libs unlearn)
cd "$dir"
status=0
said=$(./job) || status=$?
case "$status $said" in
"3 "*MODEL*) ;; # there is no such model: bad input, named
*) echo "the program of README.md ended with $status and said: $said"; exit 1 ;;
esac
"$dir/usr/bin/unlearn" --version > /dev/null
