#!/bin/sh
# bits.sh - instruction set, threads, micro-batch and checkpointing never change a bit of weights or of the step log, in f32
# and in bf16; the plan falls with the micro-batch; npo's log-ratio is exactly 0 at the start; evaluation does not see the batch.
. "$(dirname "$0")/_lib.sh"
need_shared golden/models/tofu-656k-full/model.safetensors
need_shared data/datasets/tofu/forget10.json
model=$UL_SHARED/golden/models/tofu-656k-full
tofu=$UL_SHARED/data/datasets/tofu
data="--model $model --forget $tofu/forget10.json --retain $tofu/retain90.json --method npo"

isas=portable
grep -qw fma /proc/cpuinfo 2> /dev/null && isas="$isas avx2"
grep -qw avx512f /proc/cpuinfo 2> /dev/null && isas="$isas avx512"
grep -qw amx_bf16 /proc/cpuinfo 2> /dev/null && isas="$isas amx"

# one OUT ARGS...: two steps of four samples, with a reference cache that all runs share.
one() {
    out=$1
    shift
    run 0 forget $data --steps 2 --batch 4 --warmup 0 --cache cache --save-every -1 --quiet --out "$out" "$@"
    log_numbers "$out/log.jsonl" > "$out.log"
}
like() { # A B WHAT
    same "$1/model.safetensors" "$2/model.safetensors" "weights, $3"
    same "$1.log" "$2.log" "step log, $3"
}

for precision in f32 bf16; do
    p=$precision
    one $p --precision $p
    for isa in $isas; do
        UL_ISA=$isa
        export UL_ISA
        one $p-$isa --precision $p --threads 1
        like $p $p-$isa "$p on $isa"
        unset UL_ISA
    done
    one $p-1 --precision $p --micro-batch 1 --threads 2
    like $p $p-1 "$p, micro-batch 1"
    one $p-3 --precision $p --micro-batch 3 --threads 1 --checkpoint
    like $p $p-3 "$p, micro-batch 3, checkpointing"
done
if cmp -s f32/model.safetensors bf16/model.safetensors; then fail '--precision bf16 does nothing'; fi
grep -q '"isa": "' f32/manifest.json || fail 'the manifest does not name the instruction set'

# The reference computed in another way is the same file.
one fresh --cache cache2 --isa portable --threads 1
for f in cache2/*; do same "cache/$(basename "$f")" "$f" 'reference caches'; done
like f32 fresh 'own reference'

# npo at step 1 is -2/beta log sigmoid(-beta 0) = 2 log 2 / beta on every sample, and alpha = 1 times the retain NLL.
awk '
    { split("", v); n = split($0, part, /[{},]/); for (i = 1; i <= n; i++) { split(part[i], kv, ":"); v[kv[1]] = kv[2] } }
    NR == 1 { x = 2 * log(2) / 0.1 + v["\"retain_loss\""] - v["\"loss\""]; exit !(x < 1e-12 && x > -1e-12) }' f32/log.jsonl ||
    fail "the first loss of npo is not 2 log 2 / beta + retain loss: $(head -n 1 f32/log.jsonl)"

# Planned bytes.
last=
for m in 16 4 1; do
    run 0 plan $data --steps 2 --batch 16 --micro-batch $m --json
    total=$(grep -o '"total": [0-9]*' said | grep -o '[0-9]*$')
    [ -z "$last" ] || [ "$total" -lt "$last" ] || fail "micro-batch $m plans $total bytes, the larger one $last"
    last=$total
done

# Evaluation: the same bytes in every column at any batch size and number of threads.
run 0 eval --model "$model" --tofu "$tofu" --split forget10 --rows 6 --max-new 12 --quiet --out e1
run 0 eval --model "$model" --tofu "$tofu" --split forget10 --rows 6 --max-new 12 --quiet --out e2 --batch 1 --batch-tokens 64 --threads 1 --isa portable
same e1/TOFU_EVAL.json e2/TOFU_EVAL.json 'evaluations'
finish
