#!/bin/sh
# wrap.sh - wrappers around a method: named, explained, recorded, resumed after a kill to the same bits; a budget ends the run;
# what does not go together is refused by name.
. "$(dirname "$0")/_lib.sh"
tiny_world
data="forget --model model --forget forget.jsonl --retain retain.jsonl --method npo --batch 4 --quiet"

run 0 methods
says 'Gradient rectified unlearning' 'Layered unlearning' '--wrap'
run 0 methods gru
says 'arXiv:2503.09117' '--gru.decay'
run 0 methods gru --json
says '"kind": "wrapper"' '"decay"'

# Recorded; the recipe is another one; the order of flags does not matter.
short="$data --steps 6"
run 0 $short --out plain
run 0 $short --wrap wagle,gru --gru.decay 0.5 --out both
run 0 $short --gru.decay 0.5 --wrap wagle,gru --out again
same both/model.safetensors again/model.safetensors 'flags in another order'
if cmp -s plain/model.safetensors both/model.safetensors; then fail '--wrap does nothing'; fi
grep -q '"wrappers"' both/manifest.json || fail 'the manifest does not name the wrappers'
if grep -q '"wrappers"' plain/manifest.json; then fail 'wrappers in the manifest of a run without any'; fi
digest() { grep -o '"recipe_digest": "[0-9a-f]*"' "$1/manifest.json"; }
[ "$(digest both)" = "$(digest again)" ] || fail 'the same recipe has two digests'
run 0 $short --wrap wagle,gru --out other
[ "$(digest both)" != "$(digest other)" ] || fail 'the digest does not see --gru.decay'
run 0 $short --wrap sam --sam.rho 0 --out nothing
same plain/model.safetensors nothing/model.safetensors 'a wrapper of strength 0'
run 0 $short --optimizer sophia --out sophia
if cmp -s plain/model.safetensors sophia/model.safetensors; then fail '--optimizer sophia does nothing'; fi

# Adapters have gradients too.
run 0 $short --wrap pcgrad,saliency --lora all-linear --lora-r 2 --out lora
[ -s lora/adapter_model.safetensors ] || fail 'no adapter'

# The plan counts them.
plan="plan --model model --forget forget.jsonl --retain retain.jsonl --method npo --steps 6 --batch 4 --json"
total() { grep -o '"total": [0-9]*' said | grep -o '[0-9]*$'; }
run 0 $plan
without=$(total)
run 0 $plan --wrap gru
says '"wrappers"'
[ "$(total)" -gt "$without" ] || fail 'the plan does not count the wrapper'

# Killed once there is a checkpoint, then resumed.
long="$data --steps 150 --save-every 10 --wrap wagle,sam,gru,wa"
run 0 $long --out whole
"$UL" $long --out killed > said 2>&1 &
pid=$!
waited=0
until [ -e killed/checkpoint.safetensors ] || [ $waited -ge 600 ]; do
    sleep 0.02
    waited=$((waited + 1))
done
kill -KILL $pid 2> /dev/null || true
wait $pid 2> /dev/null || true
[ ! -e killed/model.safetensors ] || fail 'the run ended before the signal reached it'
refuses 2 - 'another recipe' -- $data --steps 150 --save-every 10 --wrap wagle,sam,gru --out killed --resume
run 0 $long --out killed --resume
same whole/model.safetensors killed/model.safetensors 'resumed and uninterrupted weights'

# A budget: the run ends early, is complete, and says so; around a method that reads no retain text too.
run 0 forget --model model --forget forget.jsonl --retain retain.jsonl --method ga --batch 4 --steps 200 --warmup 0 --kl-budget 0.02 \
    --budget.every 2 --out budget
says 'on its budget' budget
[ "$(wc -l < budget/log.jsonl)" -lt 200 ] || fail 'the budget did not end the run'
grep -q '"kl"' budget/log.jsonl || fail 'the log does not have the divergence'
[ -s budget/model.safetensors ] || fail 'no model after the budget'

# Refused by name.
refuses 2 new '"grru"' '"gru"' -- $short --wrap grru
refuses 2 new '"deccay"' '"decay"' -- $short --wrap gru --gru.deccay 1
refuses 2 new '--gru' 'does not name gru' -- $short --gru.decay 0.5
refuses 2 new gru pcgrad 'take one' -- $short --wrap gru,pcgrad
refuses 2 new gru twice -- $short --wrap gru,gru
refuses 2 new gru 'no retain documents' -- forget --model model --forget forget.jsonl --method ga --wrap gru
refuses 2 new --retain -- forget --model model --forget forget.jsonl --method ga --kl-budget 0.1
refuses 2 new --wrap procedure -- forget --model model --forget forget.jsonl --method tv --wrap gru
refuses 2 new 'lu.folds' -- forget --model model --forget forget.jsonl --retain retain.jsonl --method graddiff --wrap lu --lu.folds 100
finish
