#!/bin/sh
# adapter.sh - every procedure with --lora: what it changes of whole weights becomes an adapter of the model before, of full rank the
# same model, of low rank a part of it, and the run says how large a part.
. "$(dirname "$0")/_lib.sh"
tiny_world
data="--model model --forget forget.jsonl --retain retain.jsonl --quiet"
prob() { grep -o '"forget_Q_A_Prob": [0-9.]*' said | head -n 1 | cut -d ' ' -f 2; }
held() { sed -n 's/.*it holds \([0-9.e-]*\) of all/\1/p' said; }
near() { awk "BEGIN { exit !($1 - $2 < 1e-4 && $2 - $1 < 1e-4) }"; }

# One fact is rewritten in one matrix: a change of rank 1 fits any adapter. Many facts at once, a rank of 1: a part of it.
run 0 eval --model model --forget forget.jsonl --json --quiet
before=$(prob)
for method in rome memit; do
    run 0 forget $data --method $method --out "$method-whole"
    run 0 eval --model "$method-whole" --forget forget.jsonl --json --quiet
    whole=$(prob)
    run 0 forget $data --method $method --lora all-linear --lora-r 64 --out "$method-full"
    awk "BEGIN { exit !($(held) > 0.999) }" || fail "$method: an adapter of full rank holds $(held)"
    [ ! -e "$method-full/model.safetensors" ] || fail "$method --lora writes a whole model"
    run 0 eval --model model --adapter "$method-full" --forget forget.jsonl --json --quiet
    near "$(prob)" "$whole" || fail "$method: forget probability $(prob) by the adapter, $whole by whole weights"
    ! near "$whole" "$before" || fail "$method changed nothing: $before, $whole"
done
run 0 forget $data --method memit --lora all-linear --lora-r 1 --out low
awk "BEGIN { exit !($(held) > 0 && $(held) < 0.999) }" || fail "memit: an adapter of rank 1 holds $(held)"

# Adapters that were spoilt: the member of adapter_config.json.
spoilt() { # sed script, TEXT...
    rm -rf spoilt
    cp -r low spoilt
    sed "$1" low/adapter_config.json > spoilt/adapter_config.json
    shift
    refuses 3 - spoilt/adapter_config.json "$@" -- generate --model model --adapter spoilt --prompt ana
}
spoilt 's/"rank_pattern": {}/"rank_pattern": 5/' rank_pattern 'an object'
spoilt 's/"modules_to_save": null/"modules_to_save": 5/' modules_to_save 'an array'
spoilt 's/"bias": "none"/"bias": "none", "exclude_modules": 5/' exclude_modules 'a string or an array'
spoilt 's/"bias": "none"/"bias": "none", "exclude_modules": "("/' 'regular expression "("'

# Merged.
run 0 forget $data --method memit --lora all-linear --lora-r 64 --lora-merge --out merged
run 0 eval --model merged --forget forget.jsonl --json --quiet
near "$(prob)" "$whole" || fail "memit, merged: forget probability $(prob), whole $whole"

# Every procedure leaves an adapter that loads.
"$UL" methods --json | awk -F'"' '$2 == "id" { id = $4 } $2 == "kind" && $4 == "procedure" { print id }' > ids
[ "$(wc -l < ids)" -ge 20 ] || fail 'fewer than 20 procedures are listed'
while read -r id; do
    run 0 forget $data --method "$id" --steps 2 --lora all-linear --lora-r 2 --out "with-$id"
    [ -s "with-$id/adapter_model.safetensors" ] || fail "$id left no adapter"
    run 0 eval --model model --adapter "with-$id" --forget forget.jsonl --rows 4 --max-new 2 --json --quiet
done < ids
finish
