#!/bin/sh
# The checkers see what they are there for: a tree with planted faults, one a line, each of which must be named.
set -eu
root=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir -p tools src/base src/model src/method include test
cp "$root"/tools/check-* "$root/tools/layers.txt" tools/

expect() { # CHECKER ARGUMENT... -- TEXT: it fails and says this
    checker=$1
    shift
    if out=$("tools/$checker" "$@"); then echo "$checker passed a tree with: $text"; exit 1; fi
    case $out in *"$text"*) ;; *) printf '%s did not say "%s" but:\n%s\n' "$checker" "$text" "$out"; exit 1 ;; esac
}
sound() { "tools/$1" || { echo "$1 complains of a sound tree"; exit 1; }; }

cat > src/base/base.h <<'EOF'
/* malloc(3) and stderr in a comment, "/*" in a string, 'c'; and what only looks alike */
static inline int sound(int x) { return x ? ul_exit(x) : s->free(x) + t.time(x) + snprintf("exit(1) \" printf(2)"); }
EOF
cat > src/model/a.c <<'EOF'
#include "base/base.h"
#include "io/io.h"
#include "a_impl.h"
#include "unlearn/base.h"
EOF
sound check-layers
sound check-banned
sound check-length
sound check-columns

while IFS='|' read -r text line; do
    printf '%s\n' "$line" > src/model/a.c
    expect check-layers
done <<'EOF'
method/method.h" is not below model|#include "method/method.h"
io/io_fail.h" is not the door of io|  #  include "io/io_fail.h"
climbs out|#include "../io/io.h"
EOF
while IFS='|' read -r text line; do
    printf '%s\n' "$line" > src/model/a.c
    expect check-banned
done <<'EOF'
a.c:1: malloc|void *f(void) { return malloc(3); }
a.c:1: free|void f(void *p) { /* a */ free(p); /* b */ }
a.c:1: exit|void f(void) { exit (1); }
a.c:1: stderr|void f(void) { fputs("x", stderr); }
a.c:1: getenv|char *f(void) { return getenv("HOME"); }
a.c:1: tanhf|float f(float x) { return tanhf(x); }
a.c:1: exp|double f(double x) { return exp(x); }
pragma omp|#pragma omp parallel for
unfinished|int x; /* TODO */
EOF
: > src/model/a.c
{ echo "int f(void)"; echo "{"; yes "    ;" | head -79; echo "}"; } > src/model/long.c
text="function of 81 lines" expect check-length
rm src/model/long.c
printf '/* %118s */\n' wide > src/model/wide.c
text="src/model/wide.c: 1 lines of more than 120 columns" expect check-columns
rm src/model/wide.c
sound check-columns

# The invariants of the catalogue of methods, Q1 to Q16: each is named by a test (CONTRIBUTING.md says by which).
for q in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    grep -rqE "(Q|test_q|q)$q[^0-9]" "$root/test/unit" "$root/test/prop" --include='*.c' || { echo "no test names Q$q"; exit 1; }
done

echo 'int changes; static int too = 1; const int not_this = 2; static const char *const nor_this[] = {"x"};
int f(void); int f(void) { static int hidden; return hidden++ + too++ + not_this + *nor_this[0]; }' > g.c
${CC:-cc} -O1 -c g.c -o g.o
ar rc g.a g.o
for text in changes too hidden; do expect check-banned g.a; done
! tools/check-banned g.a | grep -q this
