#!/bin/sh
# audit_gates.sh - what `unlearn audit` refuses before it asks anything: models that do not read the same words as the
# original, phantoms that were taught, rows that cannot show forgetting; negative control and neighbours as told.
. "$(dirname "$0")/_lib.sh"
run 1 audit --self-test --steps 1 --only original --profile quick --out world
head -n 40 world/data/forget.jsonl >forget.jsonl
original=world/original
common="audit --original $original --forget forget.jsonl --retain world/data/retain.jsonl --retain-rows 20"
common="$common --profile quick --model"

# As many ids, and the same ids for the same words.
mkdir tiny
(cd tiny && tiny_world)
# shellcheck disable=SC2086
refuses 3 c '--control tiny/model has a vocabulary' "--original $original of" -- $common $original --control tiny/model
# shellcheck disable=SC2086
refuses 3 c '--model tiny/model has a vocabulary of' -- $common tiny/model
cp -r world/control other
sed 's/: 30\b/: 99930/; s/: 31\b/: 30/; s/: 99930\b/: 31/' $original/tokenizer.json >other/tokenizer.json
if cmp -s $original/tokenizer.json other/tokenizer.json; then fail "no two words changed places"; fi
# shellcheck disable=SC2086
refuses 3 c '--control: the tokenizer other/tokenizer.json (SHA-256' 'other ids' -- $common $original --control other
sed 's/$/ /' $original/tokenizer.json >other/tokenizer.json # other bytes, the same words
# shellcheck disable=SC2086
run 0 $common $original --control other --out c
says "verdict: inconclusive" "uninformative"

# Phantoms that stand in the forget or the retain file.
head -n 9 world/data/retain.jsonl >taught.jsonl
head -n 20 world/data/phantom.jsonl >>taught.jsonl
# shellcheck disable=SC2086
refuses 3 d '--phantom forget.jsonl: 40 of its 40 rows stand in --forget' -- $common $original --phantom forget.jsonl
# shellcheck disable=SC2086
refuses 3 d '--phantom taught.jsonl: 9 of its 29 rows stand in --retain' -- $common $original --phantom taught.jsonl
# shellcheck disable=SC2086
refuses 3 d '--holdout taught.jsonl: 9 of its 29' -- $common $original --holdout taught.jsonl

# What was not measured is no number: a control that is the original leaves no gap to measure on.
# shellcheck disable=SC2086
run 0 $common $original --control $original --out e
says 's - (not measured: in what it says' 'inv - '
if grep -i '\bnan\b' said e/report.md e/report.html; then fail "a number that is none"; fi
for f in e/report.md e/report.html; do
    if ! grep -q 's – (not measured: in what it says' $f; then fail "$f: s is a number"; fi
done
# Forget rows that cannot show forgetting are told and not asked; too many of them are refused.
answer=$(sed -n '1s/.*"answer": "\([^"]*\)".*/\1/p' forget.jsonl)
{
    cat forget.jsonl
    head -n 1 forget.jsonl
    head -n 1 forget.jsonl | sed "s/\"question\": \"/&$answer /"
} >dirty.jsonl
dirty="audit --original $original --model $original --forget dirty.jsonl --retain world/data/retain.jsonl"
dirty="$dirty --retain-rows 20 --profile quick"
# shellcheck disable=SC2086
run 0 $dirty --out f
says '1 of 42 rows: question and answer stand in an earlier row (duplicate); they are not asked'
says '1 of 42 rows: the question holds every word of the answer (in-question)'
for text in '"left_out": 2,' '"rows": 40,' '"attack_rate": '; do
    if ! grep -q "$text" f/report.json; then fail "f/report.json has no $text"; fi
done
# shellcheck disable=SC2086
run 0 $dirty --hygiene-drop '' --out g
for text in '"left_out": 0,' '"rows": 42,'; do
    if ! grep -q "$text" g/report.json; then fail "--hygiene-drop '': g/report.json has no $text"; fi
done
# shellcheck disable=SC2086
refuses 3 h 'dirty.jsonl: 2 of its 42 rows cannot show forgetting' '1 duplicate' -- $dirty --hygiene-most 0.01
# shellcheck disable=SC2086
refuses 2 h '--hygiene-drop: there is no kind "dull"' -- $dirty --hygiene-drop dull
# shellcheck disable=SC2086
refuses 2 h '--noise-sigma 0.1,x: 1 to 4 numbers' -- $dirty --noise-sigma 0.1,x

# Neighbours: asked, told, and never the forgotten themselves.
sed -n 41,60p world/data/retain.jsonl >near.jsonl
# shellcheck disable=SC2086
run 0 $common $original --neighbours near.jsonl --out i
says 'neighbours: ' 'negative control: none'
for text in '"path": "near.jsonl"' '"refusals_beyond"'; do
    if ! grep -q "$text" i/report.json; then fail "i/report.json has no $text"; fi
done
# shellcheck disable=SC2086
refuses 3 j '--neighbours forget.jsonl: 40 of its 40 rows stand in --forget' -- $common $original \
    --neighbours forget.jsonl

# A second control is another model; a text has an interval when there are two.
# shellcheck disable=SC2086
run 0 $common $original --control world/control --out k
says 'negative control: the control, drawn a second time'
# shellcheck disable=SC2086
refuses 2 j '--twin is a second model' '--control' -- $common $original --twin world/control
# shellcheck disable=SC2086
refuses 3 j '--twin world/control holds the weights of' -- $common $original --control world/control \
    --twin world/control
head -n 1 world/data/text.jsonl >line.jsonl
# shellcheck disable=SC2086
refuses 3 j '--text line.jsonl holds one text' -- $common $original --text line.jsonl
finish
