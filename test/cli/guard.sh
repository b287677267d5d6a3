#!/bin/sh
# guard.sh - methods that change no weights: `forget` writes a guard, `generate` and `eval` put it around the model; what does not
# fit is refused.
. "$(dirname "$0")/_lib.sh"
tiny_world
data="--forget forget.jsonl --retain retain.jsonl"

run 0 forget --model model $data --method filter --filter.refusal "I don ’ t know ." --out guard
says "the model is as it was" "--guard guard"
[ -f guard/guard.json ] && [ -f guard/manifest.json ] || fail "guard.json and manifest.json are not there"
[ ! -e guard/model.safetensors ] || fail "a guard copies the model"

# Generation: every forget prompt is refused, every retain prompt answered as before, one row at a time or many.
run 0 generate --model model --data forget.jsonl --guard guard --max-new 8 --quiet
[ "$(sort -u said)" = "I don ’ t know ." ] || fail "forget prompts are not refused"
run 0 generate --model model --data retain.jsonl --max-new 8 --quiet
cp said plain
run 0 generate --model model --data retain.jsonl --guard guard/guard.json --max-new 8 --batch 1 --quiet
same plain said "retain prompts under the guard"

# Scores: the forget answers are gone, the retain set's numbers are the same.
run 0 eval --model model $data --max-new 8 --out bare --quiet
run 0 eval --model model $data --max-new 8 --guard guard --out guarded --quiet
number() { sed -n "s/^ *\"$2\": \([-0-9.e]*\).*/\1/p" "$1/TOFU_SUMMARY.json"; }
[ "$(number bare retain_Q_A_Prob)" = "$(number guarded retain_Q_A_Prob)" ] || fail "retain probabilities changed"
awk "BEGIN { exit !($(number guarded forget_Q_A_Prob) < 1e-3 && $(number bare forget_Q_A_Prob) > 0.05) }" ||
    fail "forget probability $(number bare forget_Q_A_Prob), with the guard $(number guarded forget_Q_A_Prob)"
grep -q '"guard"' guarded/manifest.json || fail "the manifest does not name the guard"

# Audit: what is said is said through the guard; attacks on the weights leave it away, and are not run twice for the same weights.
audit="audit --model model --original model $data --profile quick --max-new 8 --entity-rows 2"
run 0 $audit --guard guard,none --out audited
says "asked through the guard guard/guard.json (filter); attacks on the weights leave it away"
[ "$(grep -c '"model": "I don ’ t know."' audited/report.json)" -eq 6 ] || fail "not all answers of the guarded model are refusals"
grep -q 'A guard stands in front of this model (filter)' audited/report.html || fail "report.html does not speak of the guard"
sed -n '/"id": "rtn4"/,/"anchor"/s/.*"\(model\|original\)": \([0-9.]*\),/\2/p' audited/report.json | sort -u > attacked
[ "$(wc -l < attacked)" -eq 1 ] || fail "an attack on the weights found less behind the guard: $(cat attacked)"
refuses 2 out "2 models and --guard 3 guards" -- $audit --model model,model --guard guard,guard,none
refuses 3 out nowhere -- $audit --guard nowhere

# Guards that train are killed and go on to the same bits.
files() { (cd "$1" && find . -type f ! -name manifest.json ! -name log.jsonl -exec sha256sum {} +) | sort -k 2; }
for method in uld offset whp_infer grun; do
    fit="forget --model model $data --method $method --steps 300 --batch 4 --save-every 10 --quiet"
    run 0 $fit --out "whole-$method"
    "$UL" $fit --out "killed-$method" > said 2>&1 &
    pid=$! waited=0
    until [ -n "$(find "killed-$method" -name checkpoint.safetensors 2> /dev/null)" ] || [ $waited -ge 600 ]; do
        sleep 0.02
        waited=$((waited + 1))
    done
    kill -KILL $pid 2> /dev/null || true
    wait $pid 2> /dev/null || true
    [ ! -e "killed-$method/guard.json" ] || fail "$method ended before SIGKILL reached it"
    refuses 2 - 'another recipe' -- $fit --lr 0.5 --out "killed-$method" --resume
    run 0 $fit --out "killed-$method" --resume
    files "whole-$method" > whole
    files "killed-$method" > resumed
    grep -q guard.safetensors whole || grep -q adapter whole || fail "$method left no weights"
    same whole resumed "$method, killed and resumed"
done

run 0 train --fresh --model shape --data all.jsonl --steps 2 --batch 8 --lr 0.02 --init-std 0.1 --out other --quiet

# What does not fit.
refuses 2 out --retain -- forget --model model --forget forget.jsonl --method filter
refuses 2 out --lora filter -- forget --model model $data --method filter --lora all-linear
refuses 3 - "made for the model of digest" "unlearn forget --method filter" -- generate --model other --prompt "where was ana born ?" --guard guard
refuses 3 out "made for the model of digest" -- $audit --model other --guard guard # before anybody is attacked
refuses 3 - nowhere -- generate --model model --prompt x --guard nowhere
sed 's/"filter"/"fliter"/' guard/guard.json > odd.json
refuses 3 - fliter 'did you mean "filter"' -- eval --model model $data --guard odd.json
head -c 200 guard/guard.json > half.json
refuses 3 - half.json -- eval --model model $data --guard half.json
run 0 methods filter
says suppression "a guard, to be put around the model"
finish
