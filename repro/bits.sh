#!/bin/sh
# bits.sh SHARED OUT [STEPS] - one unlearning run (npo on TOFU forget10, the defaults) in every way that must not change a bit:
# instruction sets this machine has, 1 and 2 threads, micro-batches of 1, 4 and 16 samples, killed and resumed; in f32 and bf16.
# Prints one line a run with the SHA-256 of the weights and of the step log without its times; exits 1 when two of one precision differ.
# STEPS: fewer than the full run (a portable run of all 125 steps takes half an hour).
set -u
unlearn=${UNLEARN:-build/release/unlearn} shared=$1 out=$2 steps=${3:-}
mkdir -p "$out"
bad=0

sums() { # DIR: digest of weights, digest of the log without times
    w=$(sha256sum < "$1/model.safetensors" | cut -c1-16)
    l=$(sed 's/, *"ms".*/}/' "$1/log.jsonl" | sha256sum | cut -c1-16)
    echo "$w $l"
}

run() { # NAME PRECISION ISA THREADS MICRO [kill]
    set -- "$1" "$2" "$3" "$4" "$5" "${6:-}"
    dir="$out/$2-$3-$4-$5$6"
    rm -rf "$dir"
    args="--model $shared/golden/models/tofu-656k-full --forget $shared/data/datasets/tofu/forget10.json
          --retain $shared/data/datasets/tofu/retain90.json --method npo --quiet --precision $2 --threads $4 --micro-batch $5 --out $dir"
    [ -n "$steps" ] && args="$args --steps $steps"
    if [ "$6" = kill ]; then
        UL_ISA=$3 "$unlearn" forget $args --save-every 2 & pid=$!
        until [ -f "$dir/log.jsonl" ] || ! kill -0 $pid 2>/dev/null; do sleep 0.05; done
        while kill -0 $pid 2>/dev/null && [ "$(wc -l < "$dir/log.jsonl")" -lt 5 ]; do sleep 0.05; done
        kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
        UL_ISA=$3 "$unlearn" forget $args --save-every 2 --resume > /dev/null || bad=1
    else
        UL_ISA=$3 "$unlearn" forget $args > /dev/null || bad=1
    fi
    got=$(sums "$dir")
    printf '%-5s %-34s %s\n' "$2" "$1" "$got"
    eval "first=\${first_$2:-}"
    [ -z "$first" ] && eval "first_$2='$got'" && first=$got
    [ "$got" = "$first" ] || { echo "  differs from the first $2 run ($first)"; bad=1; }
}

for p in f32 bf16; do
    for isa in amx avx512 avx2 portable; do
        UL_ISA=$isa "$unlearn" plan --model "$shared/golden/models/tofu-656k-full" --forget "$shared/data/datasets/tofu/forget01.json" \
            --steps 1 --look 1 > /dev/null 2>&1 || { echo "$p     $isa: not on this machine"; continue; }
        run "$isa, 1 thread, micro-batch auto" $p $isa 1 0
        run "$isa, 2 threads, micro-batch 4" $p $isa 2 4
        [ $isa = portable ] && continue # slow
        run "$isa, 2 threads, micro-batch 1" $p $isa 2 1
        run "$isa, 1 thread, micro-batch 16" $p $isa 1 16
        run "$isa, 2 threads, killed, resumed" $p $isa 2 0 kill
    done
done
[ $bad = 0 ] && echo "all runs of one precision gave the same bits"
exit $bad
