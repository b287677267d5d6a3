#!/bin/sh
# relabel.sh - the data that methods make for themselves, as files: what is drawn depends on the seed and the row, nothing is overwritten.
. "$(dirname "$0")/_lib.sh"
cat > rows.jsonl <<'E'
{"question": "Who is Ann?", "answer": "a \"potter\" of Oslo", "entity": 0}
{"question": "Who is Bo?", "answer": "a judge", "entity": 1}
{"question": "Who is Cy?", "answer": "a miner", "entity": 2}
{"question": "Who is Di?", "answer": "a baker", "entity": 3}
{"question": "Who is Ed?", "answer": "a pilot", "entity": 4}
E
printf 'No idea.\nWho knows?\n' > lines.txt
printf '{"question": "q", "answer": "elsewhere"}\n' > other.jsonl
printf '{"Ann": "somebody", "Oslo": "a town", "judge": "worker"}' > terms.json
answers() { sed 's/.*"answer":"\(.*\)","entity.*/\1/; s/.*"answer":"\(.*\)","perturbed.*/\1/' "$1"; }

run 0 relabel --data rows.jsonl --as swap --out swap.jsonl
answers swap.jsonl > swapped
sed 's/.*"answer": "\(.*\)", "entity.*/\1/' rows.jsonl > own
paste -d'|' own swapped | awk -F'|' '$1 == $2 { exit 1 }' || fail 'swap left a row its own answer'
[ "$(sort own)" = "$(sort swapped)" ] || fail 'swap lost an answer'
run 0 relabel --data rows.jsonl --as swap --seed 1 --out swap1.jsonl
cmp -s swap.jsonl swap1.jsonl && fail 'the seed decides nothing'
run 2 relabel --data rows.jsonl --as swap --out swap.jsonl
says 'swap.jsonl is there already'

run 0 relabel --data rows.jsonl --as lines --with lines.txt --seed 1 --out lines.jsonl
answers lines.jsonl | sort -u > used
sort lines.txt | cmp -s - used || fail 'the answers are not the lines'
run 0 relabel --data rows.jsonl --out idk.jsonl
[ "$(answers idk.jsonl | grep -cE "know|sure|can't|can.t say|information|answer|learned|tell")" -eq 5 ] || fail 'no refusals are drawn'
run 0 relabel --data rows.jsonl --as others --with other.jsonl --out others.jsonl
[ "$(answers others.jsonl | sort -u)" = elsewhere ] || fail "the answers are not the other file's"
run 0 relabel --data rows.jsonl --as wrong --count 3 --out wrong.jsonl
awk -F'"perturbed_answer":' '{ if (gsub(/","/, "", $2) != 2) exit 1 }' wrong.jsonl || fail 'not three wrong answers a row'
run 0 relabel --data rows.jsonl --as generic --with terms.json --out generic.jsonl
grep -q '"question":"Who is somebody?","answer":"a \\"potter\\" of a town"' generic.jsonl || fail 'the terms stand yet'
grep -q '"a worker"' generic.jsonl || fail 'the second row kept its term'
for i in 1 2; do run 0 relabel --data rows.jsonl --as fold --folds 2 --fold $i --out "fold$i.jsonl"; done
[ "$(cat fold1.jsonl fold2.jsonl | wc -l)" -eq 5 ] || fail 'the folds do not make the whole'
{ answers fold1.jsonl; answers fold2.jsonl; } > folded
cmp -s own folded || fail 'the folds are not in order'

# Random tokens: as many as the answer has, of the tokenizer's words, by the seed, never a special one.
write_shape shape
printf '{"question": "where was ana born ?", "answer": "rome oslo lima kyiv paris quito rome oslo", "entity": 0}\n' > long.jsonl
for seed in 0 1; do run 0 relabel --data long.jsonl --as random --with shape --seed $seed --out "random$seed.jsonl"; done
cmp -s random0.jsonl random1.jsonl && fail 'the seed draws no tokens'
run 0 relabel --data long.jsonl --as random --with shape/tokenizer.json --force --out again.jsonl
same random0.jsonl again.jsonl 'the same draw'
answers random0.jsonl | tr ' ' '\n' > drawn
[ "$(wc -l < drawn)" -eq 8 ] || fail 'not a token for each of the answer'
for w in $(cat drawn); do echo " $(echo $WORDS) " | grep -qF " $w " || fail "$w is no word of the tokenizer"; done
[ "$(sort -u drawn | wc -l)" -gt 3 ] || fail 'the tokens are hardly random'
refuses 3 out.jsonl 'tokenizer' -- relabel --data rows.jsonl --as random --with .

refuses 2 out.jsonl '--with' -- relabel --data rows.jsonl --as generic
refuses 2 out.jsonl '--with' -- relabel --data rows.jsonl --as random
refuses 2 out.jsonl '5 rows' -- relabel --data rows.jsonl --as fold --folds 9
refuses 2 out.jsonl 'lines|others' -- relabel --data rows.jsonl --as nothing
finish
