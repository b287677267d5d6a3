#!/bin/sh
# audit_gates.sh - what `unlearn audit` refuses before it asks anything: models that do not read the same words as the
# original, phantoms that were taught.
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
says 's - (not measured: what the original says' 'inv - '
if grep -i '\bnan\b' said e/report.md e/report.html; then fail "a number that is none"; fi
for f in e/report.md e/report.html; do
    if ! grep -q 's – (not measured: what the original says' $f; then fail "$f: s is a number"; fi
done
finish
