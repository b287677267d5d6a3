#!/bin/sh
# plan.sh - what a run will do before it does: `forget --print-plan` and `plan` name passes, caches, bytes and time, write nothing,
# see what lies on the disk already, and hold for every method.
. "$(dirname "$0")/_lib.sh"
tiny_world
forget="forget --model model --forget forget.jsonl --retain retain.jsonl --steps 4 --batch 2 --quiet"
plan="plan --model model --forget forget.jsonl --retain retain.jsonl --steps 4 --batch 2"

run 0 $forget --method npo --out out --print-plan
says 'forward through blocks 0 to 1 of 2 and the head' 'documents: forget retain' 'log-probs of the reference, of 6 forget documents' 'to be made' \
    'total' '4 steps of 2 samples' 'time: about'
[ ! -e out ] || fail '--print-plan wrote into --out'
run 0 $forget --method npo --out out --print-plan --json
grep -q '"there": false' said || fail 'the cache is said to be there before the run'
grep -q '"seconds"' said || fail 'no seconds'

# A cache that a run has made is found by the next one's plan, and its size is the file's.
run 0 $forget --method npo --cache kept --out first
run 0 $forget --method npo --cache kept --out second --print-plan --json
grep -q '"there": true' said || fail 'the cache on the disk is not seen'
size=$(grep -o '"bytes": [0-9]*' said | head -n 1 | grep -o '[0-9]*$')
file=$(cat kept/*.ref | wc -c | tr -d ' ')
[ "$size" = "$file" ] || fail "the plan says $size bytes, the file has $file"
[ ! -e second ] || fail '--print-plan wrote into --out'
run 0 $plan --method npo --cache kept --json
grep -q '"there": true' said || fail 'plan does not see the cache'

# Where only the upper block moves, the states below it are kept, and less is held in memory.
total() { grep -o '"total": [0-9]*' said | grep -o '[0-9]*$'; }
run 0 $plan --method graddiff --train 'layers 0-1' --json
whole=$(total)
run 0 $plan --method graddiff --train 'layers 1' --epochs 5 --steps 0 --json
grep -q '"blocks": 1' said || fail 'no states below the lowest block that moves'
[ "$(total)" -lt "$whole" ] || fail "a pass that starts in the middle holds $(total) bytes, the whole one $whole"

# Every method has a plan, with adapters and wrappers too.
for m in $("$UL" methods | awk 'NR > 1 && NF > 3 { print $1 } /^$/ { exit }'); do
    run 0 $forget --method "$m" $(alternates "$m") --out "m-$m" --print-plan
    [ ! -e "m-$m" ] || fail "$m: --print-plan wrote"
done
run 0 $forget --method loku --lora all-linear --out l --print-plan
says FILA
run 0 $forget --method npo --wrap lat,gru --out w --print-plan
says 'wrapped in lat, gru' wrappers
refuses 2 - 'no method "npq"' -- $forget --method npq --out x --print-plan
finish
