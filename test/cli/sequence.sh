#!/bin/sh
# sequence.sh - requests one after the other: each step is the `forget` that a person would run, from the last step's model or from the
# model itself; every request is asked at every step; a finished step is kept by --resume; what a person gets wrong is told first.
. "$(dirname "$0")/_lib.sh"
tiny_world
head -n 2 forget.jsonl > one.jsonl
tail -n 2 forget.jsonl > two.jsonl
how="--method npo --npo.beta 0.2 --steps 3 --batch 2 --seed 7 --quiet"
sequence="sequence --model model --requests one.jsonl,two.jsonl --retain retain.jsonl --max-new 2 $how"

refuses 2 out 'needs --method' -- sequence --model model --requests one.jsonl --retain retain.jsonl
refuses 2 out 'is a guard' -- sequence --model model --requests one.jsonl --retain retain.jsonl --method filter
refuses 3 out 'file 2, "none.jsonl", is not there' -- sequence --model model --requests one.jsonl,none.jsonl --retain retain.jsonl $how

# shellcheck disable=SC2086
{
run 0 $sequence --out out
run 0 forget --model model --forget one.jsonl --retain retain.jsonl $how --out first
run 0 forget --model first --forget two.jsonl --retain retain.jsonl $how --out second
run 0 forget --model model --forget two.jsonl --retain retain.jsonl $how --out apart
same first/model.safetensors out/step-1/model.safetensors 'the first step'
same second/model.safetensors out/step-2/model.safetensors 'the second step from the first'
run 0 $sequence --mode scale --out scaled
same apart/model.safetensors scaled/step-2/model.safetensors 'the second step from the model'

# Three steps (the model before is one), both requests in each, as `eval` has them.
[ "$(grep -c '^| [0-2] |' out/table.md)" -eq 3 ] || fail 'the table has not three steps'
run 0 eval --model second --forget one.jsonl --retain retain.jsonl --max-new 2 --out asked
want=$(grep '"forget_Q_A_Prob"' asked/*SUMMARY.json | sed 's/.*: *\([0-9.e-]*\).*/\1/')
grep -qF "\"prob\": $want" out/step-2/row.json || fail "step 2 does not say $want of the first request"

cp out/step-1/row.json row
rm -r out/step-2
run 0 $sequence --out out --resume
same row out/step-1/row.json 'a kept step'
same second/model.safetensors out/step-2/model.safetensors 'a step made again'
run 0 $sequence --mode scale --out out --resume
cmp -s row out/step-1/row.json && fail 'the step of another sequence was kept'
}
finish
