#!/bin/sh
# output.sh - OUT is a complete model directory: side files as they came, weights in the input's type and shards; adapters as a
# PEFT directory; and beside every output a manifest whose digests are those of the files.
. "$(dirname "$0")/_lib.sh"
tiny_world
forget="forget --forget forget.jsonl --retain retain.jsonl --method npo --steps 3 --batch 2 --quiet"

digest_of() { # PATH: what inspect says
    "$UL" inspect "$1" | sed -n 's/^sha256 //p'
}
manifest() { # OUT KEY...: each stands in the manifest
    m=$1/manifest.json
    shift
    for key; do grep -qF -- "$key" "$m" || fail "$m does not have $key"; done
}

# ---- a whole model -----------------------------------------------------------------------------------------------------
printf 'All rights waived.\n' > model/LICENSE
run 0 $forget --model model --out out
for f in config.json generation_config.json tokenizer.json tokenizer_config.json LICENSE; do same model/$f out/$f; done
[ "$(ls -A out | tr '\n' ' ')" = "$(printf '%s\n' LICENSE config.json generation_config.json log.jsonl manifest.json model.safetensors \
    tokenizer.json tokenizer_config.json | tr '\n' ' ')" ] || fail "OUT holds: $(ls -A out | tr '\n' ' ')"
header model/model.safetensors > h1
header out/model.safetensors > h2
same h1 h2 'the names, types and order of tensors'
if cmp -s model/model.safetensors out/model.safetensors; then fail 'nothing was trained'; fi
[ "$(wc -l < out/log.jsonl)" -eq 3 ] || fail 'not a log line a step'
manifest out '"program": "unlearn' '"build": "' '"recipe_digest": "' '"precision": "f32"' '"isa": "' '"method": "npo"' '"beta": 0.1' \
    "\"digest\": \"$(digest_of model)\"" "\"digest\": \"$(digest_of out)\"" "$(sha256sum tokenizer.json 2> /dev/null | cut -c 1-64)"
for f in model/tokenizer.json model/config.json; do manifest out "\"digest\": \"$(sha256sum $f | cut -c 1-64)\""; done
run 0 eval --model out --forget forget.jsonl --out report
manifest report "\"digest\": \"$(digest_of out)\"" '"job": "eval"'
run 0 generate --model out --prompt 'where was ana born ?'

# The recipe digest follows what decides the numbers and nothing else.
recipe() { sed -n 's/.*"recipe_digest": "\([0-9a-f]*\)".*/\1/p' "$1/manifest.json" | head -n 1; }
run 0 $forget --model model --out same --threads 1 --micro-batch 1 --checkpoint --save-every 1
[ "$(recipe out)" = "$(recipe same)" ] || fail 'threads, micro-batch or checkpoints change the recipe digest'
same out/model.safetensors same/model.safetensors
for change in '--npo.beta 0.2' '--seed 1' '--lr 0.002' '--precision bf16' '--max-length 20'; do
    rm -rf other
    run 0 $forget --model model --out other $change
    [ "$(recipe out)" != "$(recipe other)" ] || fail "$change does not change the recipe digest"
done
copy_model model2
sed 's/"rope_theta": 10000.0/"rope_theta": 20000.0/' model/config.json > model2/config.json
rm -rf other
run 0 $forget --model model2 --out other
[ "$(recipe out)" != "$(recipe other)" ] || fail 'another config.json does not change the recipe digest'
[ "$(wc -l < forget.jsonl)" -gt 3 ] && head -n 3 forget.jsonl > few.jsonl
rm -rf other
run 0 forget --model model --forget few.jsonl --retain retain.jsonl --method npo --steps 3 --batch 2 --out other
[ "$(recipe out)" != "$(recipe other)" ] || fail 'another forget set does not change the recipe digest'

# A method's defaults for small models; what the caller gives goes before them.
run 0 forget --model model --forget forget.jsonl --method whp_infer --steps 2 --batch 2 --quiet --out small
manifest small '"lr": 0.005'
run 0 forget --model model --forget forget.jsonl --method whp_infer --steps 2 --batch 2 --lr 0.02 --quiet --out given
manifest given '"lr": 0.02'

# ---- weights of two bytes ------------------------------------------------------------------------------------------------
for type in bfloat16 float16; do
    short=$(echo $type | sed 's/bfloat/BF/; s/float/F/')
    write_shape shape-$type $type
    run 0 train --fresh --model shape-$type --data all.jsonl --steps 20 --batch 8 --lr 0.02 --init-std 0.1 --quiet --out $type
    run 0 $forget --model $type --out $type-out --lr 0.01
    for d in $type $type-out; do
        [ "$(header $d/model.safetensors | tr '{' '\n' | grep -c "\"dtype\":\"$short\"")" -eq 20 ] || fail "$d: not every tensor is $short"
    done
    if cmp -s $type/model.safetensors $type-out/model.safetensors; then fail "$type: nothing was trained"; fi
    manifest $type-out "$(digest_of $type)" "$(digest_of $type-out)"
done

# ---- shards: the same files again -------------------------------------------------------------------------------------------
f=model/model.safetensors
cut_at=$(($(tensor_at $f model.layers.1.input_layernorm.weight) - 8 - $(header_bytes $f)))
copy_model sharded
rm sharded/model.safetensors
header $f | sed 's/^{"__metadata__":{[^}]*},//; s/} *$//; s/},/}\n/g' > entries
shard() { # NUMBER FROM BYTES AWK-CONDITION
    awk -F'[][,]' -v from="$2" "{ lo = \$(NF - 2); hi = \$(NF - 1); if ($4) {
        sub(/\"data_offsets\":.*/, \"\\\"data_offsets\\\":[\" lo - from \",\" hi - from \"]}\"); printf \"%s%s\", n++ ? \",\" : \"{\", \$0 } } END { printf \"}\" }" \
        entries > part
    { le64 "$(wc -c < part)"; cat part; tail -c +$((9 + $(header_bytes $f) + $2)) $f | head -c "$3"; } > "sharded/model-0000$1-of-00002.safetensors"
}
all=$(($(wc -c < $f) - 8 - $(header_bytes $f)))
shard 1 0 "$cut_at" "lo < $cut_at"
shard 2 "$cut_at" $((all - cut_at)) "lo >= $cut_at"
awk -F'[][,]' -v cut="$cut_at" -v all="$all" '
    BEGIN { printf "{\"metadata\":{\"total_size\":%d},\"weight_map\":{", all }
    { split($0, q, "\""); printf "%s\"%s\":\"model-0000%d-of-00002.safetensors\"", n++ ? "," : "", q[2], $(NF - 2) < cut ? 1 : 2 }
    END { printf "}}" }' entries > sharded/model.safetensors.index.json
[ "$(digest_of sharded)" = "$(digest_of model)" ] || fail 'shards and the single file have other digests'
run 0 $forget --model sharded --out sharded-out
[ "$(digest_of sharded-out)" = "$(digest_of out)" ] || fail 'training from shards gives other weights'
[ -e sharded-out/model-00002-of-00002.safetensors ] && [ ! -e sharded-out/model.safetensors ] || fail "shards: $(ls sharded-out)"
same sharded/model.safetensors.index.json sharded-out/model.safetensors.index.json

# ---- adapters ------------------------------------------------------------------------------------------------------------------
run 0 $forget --model model --lora all-linear --lora-r 4 --lr 0.02 --out adapter
[ "$(ls -A adapter | tr '\n' ' ')" = 'adapter_config.json adapter_model.safetensors log.jsonl manifest.json ' ] ||
    fail "an adapter's folder holds: $(ls -A adapter | tr '\n' ' ')"
grep -q '"peft_type": "LORA"' adapter/adapter_config.json || fail 'adapter_config.json names no peft_type'
grep -q '"r": 4' adapter/adapter_config.json || fail 'adapter_config.json has another rank'
manifest adapter "$(digest_of model)" "$(digest_of adapter/adapter_model.safetensors)"
run 0 $forget --model model --lora all-linear --lora-r 4 --lr 0.02 --lora-merge --out merged
header merged/model.safetensors > h2
same h1 h2 'the names, types and order of tensors of a merged model'
same model/tokenizer.json merged/tokenizer.json
if cmp -s model/model.safetensors merged/model.safetensors; then fail 'the adapter was not merged'; fi
numbers() { grep -o '"forget_Q_A_Prob": [0-9.]*' "$1" | cut -c 1-23 | head -n 1; }
run 0 eval --model model --adapter adapter --forget forget.jsonl --json --quiet
cp said with
run 0 eval --model merged --forget forget.jsonl --json --quiet
[ "$(numbers said)" = "$(numbers with)" ] || fail "adapter $(numbers with), merged $(numbers said)"
run 0 eval --model model --forget forget.jsonl --json --quiet
[ "$(numbers said)" != "$(numbers with)" ] || fail "the adapter does nothing: $(numbers said)"

# FILA: the weights below the adapter are not the file's during the run; what is written fits the file's, at twice the rank.
run 0 forget --model model --forget forget.jsonl --retain retain.jsonl --method loku --lora all-linear --lora-r 2 --steps 2 --quiet --out fila
grep -q '"r": 4' fila/adapter_config.json || fail 'the adapter that FILA started has not twice the rank'
run 0 eval --model model --adapter fila --forget forget.jsonl --json --quiet
cp said with
run 0 forget --model model --forget forget.jsonl --retain retain.jsonl --method loku --lora all-linear --lora-r 2 --steps 2 --quiet \
    --lora-merge --out fila-merged
run 0 eval --model fila-merged --forget forget.jsonl --json --quiet
[ "$(numbers said)" = "$(numbers with)" ] || fail "FILA: adapter $(numbers with), merged $(numbers said)"
run 0 forget --model model --forget forget.jsonl --retain retain.jsonl --method loku --loku.fila false --lora all-linear --lora-r 2 --steps 2 \
    --quiet --out ihl
grep -q '"r": 2' ihl/adapter_config.json || fail '--loku.fila false starts adapters all the same'

# ---- every method runs with no flag of its own ------------------------------------------------------------------------------
# Two steps: the first of a warm-up has a rate of 0, and a procedure that goes along what was learnt finds nothing.
for m in $("$UL" methods | awk 'NR > 1 && NF > 3 { print $1 } /^$/ { exit }'); do
    run 0 forget --model model --forget forget.jsonl --retain retain.jsonl --method "$m" $(alternates "$m") --steps 2 --batch 2 \
        --quiet --out "m-$m"
    [ -s "m-$m/model.safetensors" ] || [ -s "m-$m/guard.json" ] || fail "$m wrote neither a model nor a guard"
done
[ -s m-npo/model.safetensors ] || fail 'unlearn methods does not list npo'
finish
