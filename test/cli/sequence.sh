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

refuses 2 out '--alt names 2 files and --requests 3' -- sequence --model model --requests one.jsonl,two.jsonl,one.jsonl \
    --retain retain.jsonl --alt one.jsonl,two.jsonl $how

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

# A method that wants alternates of each row's own: the wrong answers of each request, or a file for each.
alt='--method altpo --steps 3 --batch 2 --seed 7 --quiet'
for i in one two; do sed 's/"perturbed_answer": \[[^]]*\]/"perturbed_answer": ["kyiv", "baker"]/' $i.jsonl > $i-wrong.jsonl; done
run 0 sequence --model model --requests one.jsonl,two.jsonl --retain retain.jsonl --max-new 2 $alt --mode scale --out alt
run 0 forget --model model --forget two.jsonl --retain retain.jsonl $alt --alt two.jsonl --alt-own --out wrongs
same wrongs/model.safetensors alt/step-2/model.safetensors "the rows' wrong answers"
run 0 sequence --model model --requests one.jsonl,two.jsonl --retain retain.jsonl --max-new 2 $alt --mode scale \
    --alt one-wrong.jsonl,two-wrong.jsonl --alt-own --out given
run 0 forget --model model --forget two.jsonl --retain retain.jsonl $alt --alt two-wrong.jsonl --alt-own --out others
same others/model.safetensors given/step-2/model.safetensors "a request's file of alternates"
cmp -s others/model.safetensors wrongs/model.safetensors && fail 'alternates do not matter'
sed 's/"perturbed_answer": \[[^]]*\], //' forget.jsonl > bare.jsonl
run 0 sequence --model model --requests bare.jsonl --retain retain.jsonl --max-new 2 $alt --out bare
grep -q perturbed_answer bare/step-1/alternates.jsonl || fail 'no alternates were made of the other rows'

cp out/step-1/row.json row
rm -r out/step-2
run 0 $sequence --out out --resume
same row out/step-1/row.json 'a kept step'
same second/model.safetensors out/step-2/model.safetensors 'a step made again'
run 0 $sequence --mode scale --out out --resume
cmp -s row out/step-1/row.json && fail 'the step of another sequence was kept'
}
finish
