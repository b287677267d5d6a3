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

ids() {
    "$UL" methods --json | awk -F '"' -v kind="$1" '$2 == "id" { id = $4 } $2 == "kind" && $4 == kind { print id }'
}
# Every method of the registry has a plan, of both commands: the same bytes, and nothing is written.
for m in $(ids loss) $(ids procedure) $(ids guard); do
    alt=$(alternates "$m")
    run 0 $forget --method "$m" $alt --out "m-$m" --print-plan --json
    told=$(total)
    run 0 $plan --method "$m" $alt --out "m-$m" --json
    [ -n "$told" ] && [ "$(total)" = "$told" ] || fail "$m: plan says $(total) bytes, forget --print-plan $told"
    [ ! -e "m-$m" ] || fail "$m: a plan wrote"
done
run 0 $plan --method grun
says 'guard: no weight of the model moves' '1. module: training, 4 steps of 2 samples' 'total'
# Procedures and guards tell of every pass in its order, of what is kept, bytes and time; the parts add up.
[ -n "$(ids guard)" ] || fail 'no guards are listed'
for m in $(ids procedure) $(ids guard); do
    run 0 $forget --method "$m" --out "t-$m" --print-plan
    says '1. ' 'cached: ' 'weights' 'total' 'time: about'
    [ ! -e "t-$m" ] || fail "$m: --print-plan wrote"
    run 0 $forget --method "$m" --out "t-$m" --print-plan --json
    says '"passes"' '"what"' '"tokens"' '"caches"' '"total"'
    parts=$(sed -n '/"passes"/,/\]/p' said | grep -o '"seconds": [0-9.e+-]*' | awk '{ s += $2 } END { print s + 0 }')
    all=$(sed '/"passes"/,/\]/d' said | grep -o '"seconds": [0-9.e+-]*' | awk '{ print $2 }')
    awk "BEGIN { d = $parts - $all; exit !(d < 1e-6 && d > -1e-6) }" || fail "$m: passes take $parts s, the whole $all"
done

# What is told follows the parameters.
run 0 $forget --method tv --tv.kl 0.1 --print-plan
says 'distributions of retain rows, for the budget: forward, 10 documents' '10 times' held \
    'learn: training, 4 steps of 2 samples'
run 0 $forget --method tv --tv.kl 0 --print-plan
if grep -q budget said; then fail 'tv without a budget tells of one'; fi
run 0 $forget --method undo --undo.suppress none --undo.distil_steps 7 --print-plan
says 'distil: training, 7 steps'
if grep -q 'suppress:' said; then fail 'undo.suppress none tells of a suppression'; fi
run 0 $forget --method eco --eco.by states --print-plan
says 'states of retain prompts: forward'
run 0 $forget --method uld --print-plan --json
says '"what": "assistant"' '"around"'

# A covariance that a run has kept is found by the next one's plan.
run 0 $forget --method memit --cache covariances --out edited
run 0 $forget --method memit --cache covariances --out e2 --print-plan
says 'covariance of keys' 'on the disk'
# A damaged one is not believed.
printf x | dd of="$(ls covariances/covariance-*)" bs=1 seek=4000 conv=notrunc status=none
run 0 $forget --method memit --cache covariances --out e2
says 'damaged: it is made again'
same edited/model.safetensors e2/model.safetensors 'edited with a covariance made again'
run 0 $forget --method memit --out e3 --print-plan
says 'covariance of keys' 'to be made'

run 0 $forget --method loku --lora all-linear --out l --print-plan
says FILA
run 0 $forget --method npo --wrap lat,gru --out w --print-plan
says 'wrapped in lat, gru' wrappers
refuses 2 - 'no method "npq"' -- $forget --method npq --out x --print-plan
# A plan of very many steps can be stopped, and says how far it was.
"$UL" plan --model model --forget forget.jsonl --retain retain.jsonl --method npo --steps 1000000000 > said 2>&1 &
pid=$!
sleep 0.5
kill -INT $pid
waited=0
while kill -0 $pid 2> /dev/null && [ $waited -lt 100 ]; do
    sleep 0.1
    waited=$((waited + 1))
done
[ $waited -lt 100 ] || fail 'a plan does not heed SIGINT'
kill -9 $pid 2> /dev/null || true
code=0
wait $pid || code=$?
[ $code -eq 1 ] || fail "an interrupted plan: exit status $code"
says 'unlearn: interrupted after' 'of 1000000000 steps of the plan'
finish
