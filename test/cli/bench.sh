#!/bin/sh
# bench.sh UNLEARN SOURCE - `unlearn bench` names every number it promises, and each is a number above 0.
unlearn=$1
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
status=0
fail() { echo "FAIL: $*"; status=1; }

"$unlearn" bench train-656k product --threads 1 --seconds 0.01 --repeat 1 --json --quiet > "$dir/lines" || fail "exit code $?"
[ "$(wc -l < "$dir/lines")" -eq 5 ] || fail "want the machine, one train-656k and three product lines: $(cat "$dir/lines")"

# positive LINE KEY: the first number behind "KEY": (or of its spread) in the line is above 0
positive() {
    sed -n "$1p" "$dir/lines" | grep -o "\"$2\":{*\(\"min\":\)*[0-9.eE+-]*" | sed 's/.*://' |
        awk '$1 > 0 { n++ } END { exit n > 0 ? 0 : 1 }' || fail "line $1 has no $2 above 0: $(sed -n "$1p" "$dir/lines")"
}
head -n 1 "$dir/lines" | grep -q '"cpu":"..*"isa":"..*"threads":1,' || fail "no machine: $(head -n 1 "$dir/lines")"
keys="gflops rounds peak_bytes"
if ! head -n 1 "$dir/lines" | grep -q '"openblas":"absent"'; then keys="$keys sgemm_gflops fraction"; fi
for line in 2 3 4 5; do
    for key in $keys; do positive $line "$key"; done
done
# cases come in their own order, whatever the command line says
for key in tokens_per_s planned_bytes step_gflop; do positive 5 "$key"; done
sed -n 5p "$dir/lines" | grep -q '"case":"train-656k"' || fail "the last line is not train-656k"

"$unlearn" bench startup > "$dir/table" || fail "exit code $?"
grep -q '^startup .* ms$' "$dir/table" || fail "no start-up time: $(cat "$dir/table")"
"$unlearn" bench trian-15m 2> "$dir/err"
[ $? -eq 2 ] || fail "an unknown case must be exit code 2"
grep -q 'did you mean "train-15m"' "$dir/err" || fail "no nearest case: $(cat "$dir/err")"
exit $status
