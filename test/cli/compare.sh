#!/bin/sh
# compare.sh - many methods side by side: every method of the build runs to its end on a tiny world, a finished row is not made
# again by --resume, and what a person gets wrong is told before anything is done.
. "$(dirname "$0")/_lib.sh"
tiny_world
compare="compare --model model --forget forget.jsonl --retain retain.jsonl --max-new 2 --quiet"

refuses 2 out 'no method "npq"' 'did you mean "npo"' -- $compare --methods ga,npq
refuses 2 out 'needs --model' -- compare --forget forget.jsonl --retain retain.jsonl

run 0 $compare --control model --methods npo,tv --steps 3 --relearn 3 --out out
for id in control before npo tv; do
    grep -q "^| $id |" out/table.md || fail "the table has no row for $id"
    [ -s "out/$id/row.json" ] || fail "no out/$id/row.json"
done
[ -s out/npo/model.safetensors ] || fail 'npo left no model'
grep -q '"after_knows": *[0-9]' out/npo/row.json || fail 'nothing was asked after relearning'

# A row that is there is kept; one that is not is made, with the numbers it had.
cp out/npo/row.json npo-row
sed 's/"seconds.*//; s/"peak.*//' out/tv/row.json > tv-row
rm out/tv/row.json
run 0 $compare --control model --methods npo,tv --steps 3 --relearn 3 --out out --resume
same npo-row out/npo/row.json 'a kept row'
sed 's/"seconds.*//; s/"peak.*//' out/tv/row.json > tv-again
same tv-row tv-again 'a row made again'
# Another comparison does not take them over.
run 0 $compare --control model --methods npo --steps 2 --relearn 3 --out out --resume
cmp -s npo-row out/npo/row.json && fail 'the row of another comparison was kept'

# Audited: a verdict a row, a guard's through the guard; a row that is there keeps its verdict, whatever methods are listed.
audited="$compare --control model --steps 2 --relearn 0 --entity-rows 2 --audit quick --out judged"
run 0 $audited --methods npo,filter
for id in control before npo filter; do
    grep -q '"verdict": "[a-z]' judged/$id/row.json || fail "judged/$id/row.json has no verdict"
done
grep -q '"id": "filter"' judged/filter/audit.json || fail 'the audit of filter names no guard'
says '| filter | suppression | **inconclusive**' '| inconclusive | 1: npo | 1: filter |'
grep -q 'All models' judged/audit/report.html || fail 'no report of all audits'
cp judged/npo/row.json npo-row
run 0 $audited --methods npo,tv --resume
same npo-row judged/npo/row.json 'a kept row, with other methods in the list'
grep -q '| inconclusive | 2: npo tv | |' judged/table.md || fail 'the cross table does not count both'
run 0 $audited --methods npo --resume --attack-steps 3
cmp -s npo-row judged/npo/row.json && fail 'a row under other attacks was kept'

# The self-test's world with its original and control, made on the spot; here they stand there already, hardly trained.
"$UL" audit --self-test --seed 2 --steps 1 --only original --profile quick --out w/world-2 --quiet > said 2>&1 || true
run 0 compare --world 2 --force --audit quick --methods filter --relearn 0 --rows 20 --retain-rows 20 --quiet --out w
says '| before |  | **inconclusive**' '| filter | suppression | **inconclusive**'
refuses 2 none 'leave --retain away' -- compare --world 2 --retain retain.jsonl

# Every method of this build, at its defaults but for the steps.
run 0 $compare --methods all --steps 2 --relearn 0 --out all
failed=$(grep -l '"failed"' all/*/row.json || true)
[ -z "$failed" ] || { cat $failed > said; fail "methods that did not run: $failed"; }
"$UL" methods --json | awk -F'"' '$2 == "id" { id = $4 } $2 == "kind" && $4 != "wrapper" && $4 != "optimizer" { print id }' > ids
[ "$(wc -l < ids)" -ge 20 ] || fail 'fewer than 20 methods are listed'
while read -r id; do
    grep -q "^| $id |" all/table.md || fail "the table has no row for $id"
done < ids
# altpo had alternates of each row's own: the rows' wrong answers, or answers of other rows where they have none.
cmp -s all/altpo/model.safetensors all/dpo/model.safetensors && fail 'altpo is dpo on refusals'
[ ! -e all/alternates.jsonl ] || fail 'alternates were drawn though the rows have wrong answers'
sed 's/"perturbed_answer": [^]]*\], //' forget.jsonl > bare.jsonl
run 0 compare --model model --forget bare.jsonl --retain retain.jsonl --max-new 2 --quiet --methods altpo --steps 2 \
    --relearn 0 --out bare
if grep -q '"failed"' bare/altpo/row.json; then cp bare/altpo/row.json said; fail 'altpo did not run'; fi
[ "$(wc -l < bare/alternates.jsonl)" = "$(wc -l < forget.jsonl)" ] || fail 'no alternates.jsonl with a line a row'
finish
