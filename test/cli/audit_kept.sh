#!/bin/sh
# audit_kept.sh - what `unlearn audit` keeps of each model: a second audit beside the same original and control attacks
# neither again, a killed one goes on with --resume, both to the numbers of an audit that starts afresh; a damaged file
# is measured again; other attacks, other rows and other models find nothing.
. "$(dirname "$0")/_lib.sh"
run 1 audit --self-test --steps 1 --only original --profile quick --out world
head -n 20 world/data/forget.jsonl >forget.jsonl
head -n 20 world/data/rephrased.jsonl >rephrased.jsonl
run 0 train --model world/original --data world/data/retain.jsonl --steps 2 --batch 8 --out model --quiet
common="--original world/original --control world/control --forget forget.jsonl --retain world/data/retain.jsonl"
common="$common --phantom world/data/phantom.jsonl --rephrased rephrased.jsonl --attack-steps 2 --retain-rows 10"
common="$common --search-steps 1 --attack-batch 8 --leak-samples 4 --leak-k 2"

numbers() { grep -v '"seconds"\|"command"' "$1/report.json"; }
# equal A B: the reports of two audits, but for times.
equal() {
    numbers "$1" >one
    numbers "$2" >two
    same one two "reports of $1 and $2"
}
parts() { find "$1" -name '*.json' | wc -l; }

# All probes; the original's and the control's parts are there, for a second model only its own are made.
# shellcheck disable=SC2086
run 0 audit --model model $common --profile deep --out a
all=$(parts a/attacked)
[ "$((all % 3))" -eq 0 ] && [ "$all" -gt 60 ] || fail "$all parts of three models"
# shellcheck disable=SC2086
run 0 audit --model world/control $common --profile deep --cache none --out fresh
says 'distance to the control: 0.000 [0.000, 0.000] nats a token'
if [ -e fresh/attacked ]; then fail '--cache none keeps something'; fi
# shellcheck disable=SC2086
run 0 audit --model world/control $common --profile deep --cache a/attacked --out b
says 'original ' 'parts of it were read from a/attacked'
equal fresh b
if [ -e b/attacked ]; then fail '--cache keeps in OUT too'; fi
[ "$(parts a/attacked)" -eq "$all" ] || fail "$(parts a/attacked) parts instead of $all: the control is known"
# shellcheck disable=SC2086
run 0 audit --model model $common --profile deep --cache a/attacked --threads 1 --isa portable --out c
equal a c
[ "$(parts a/attacked)" -eq "$all" ] || fail 'threads and instruction sets ask anew'

# Thresholds read no attack; attacks, rows, seeds and precision do.
quick="--model model $common --control= --profile quick --cache q"
# shellcheck disable=SC2086
run 0 audit $quick --out q0
n=$(parts q)
# shellcheck disable=SC2086
run 0 audit $quick --suppressed 0.4 --alpha 0.1 --out q1
[ "$(parts q)" -eq "$n" ] || fail 'another threshold attacks again'
head -n 20 world/data/phantom.jsonl >fewer.jsonl
for how in '--attack-steps 3' '--seed 1' '--precision bf16' '--max-new 5' '--retain-rows 9' '--phantom fewer.jsonl' \
    '--user-start Ask:'; do
    # shellcheck disable=SC2086
    run 0 audit $quick $how --force --out q1
    if grep -q 'were read' said; then fail "$how changes no key"; fi
done

# Damaged files: a digit, an end.
f=$(grep -l '"part": "w1"' a/attacked/*.json | head -n 1)
sed 's/1\.0,/0.0,/' "$f" >bent
if cmp -s bent "$f"; then sed 's/0\.0,/1.0,/' "$f" >bent; fi
cp bent "$f"
g=$(grep -l '"part": "depth' a/attacked/*.json | head -n 1)
head -c 100 "$g" >bent
cp bent "$g"
# shellcheck disable=SC2086
run 0 audit --model model $common --profile deep --cache a/attacked --out d
says "warning: $f: \"w1\" was kept there and the file is damaged" "warning: $g: \"depth"
equal a d

# Killed in the middle of it: what was there is kept, the rest is made, nothing is overwritten without --resume.
# shellcheck disable=SC2086
"$UL" audit --model model $common --profile deep --out e --quiet >said 2>&1 &
pid=$!
while [ "$(parts e/attacked 2>/dev/null)" -lt 20 ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -KILL $pid 2>/dev/null || true
wait $pid 2>/dev/null || true
if [ -e e/report.json ]; then fail 'it had ended before it was killed'; fi
# shellcheck disable=SC2086
run 2 audit --model model $common --profile deep --out e
says '--resume'
before=$(find e/attacked -name '*.json' | sort | xargs cksum)
# shellcheck disable=SC2086
run 0 audit --model model $common --profile deep --resume --out e
says 'parts of it were read from e/attacked'
equal a e
for f in a e; do grep '"command"' $f/report.json >$f.command; done
same a.command e.command 'how to make it again'
[ "$(parts e/attacked)" -eq "$all" ] || fail "$(parts e/attacked) parts instead of $all"
printf '%s\n' "$before" | while read -r sum size name; do
    [ "$(cksum "$name")" = "$sum $size $name" ] || echo "$name"
done >moved
[ ! -s moved ] || fail "made again: $(head -n 1 moved)"
finish
