# _lib.sh - what the tests of the program share: `. "$(dirname "$0")/_lib.sh"`, with $1 the program and $2 the source folder.
# sh and coreutils only. Everything happens in a scratch folder that is removed at the end.
set -eu
UL=$1
SRC=$2
ME=$(basename "$0" .sh)
TMP=$(mktemp -d "${TMPDIR:-/tmp}/ul-$ME.XXXXXX")
trap 'rm -rf "$TMP"' EXIT
trap 'exit 1' INT TERM
cd "$TMP"
export LC_ALL=C OMP_WAIT_POLICY=passive OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
unset UL_ISA
FAILS=0

fail() {
    printf '%s: FAIL: %s\n' "$ME" "$1" >&2
    if [ -f said ]; then sed 's/^/    /' said | tail -n 8 >&2; fi
    FAILS=$((FAILS + 1))
}

skip() {
    printf '%s: skipped: %s\n' "$ME" "$1"
    exit 77
}

finish() {
    if [ "$FAILS" -ne 0 ]; then exit 1; fi
    printf '%s: ok\n' "$ME"
}

# shared PATH: its place under UL_SHARED, or the test is skipped.
need_shared() {
    if [ -z "${UL_SHARED:-}" ] || [ ! -e "$UL_SHARED/$1" ]; then skip "needs \$UL_SHARED/$1"; fi
}

# alternates METHOD: the flags of those methods that want alternate answers of each row's own, made of forget.jsonl.
alternates() {
    [ "$1" = altpo ] || return 0
    "$UL" relabel --data forget.jsonl --as wrong --force --out wrong-answers.jsonl > /dev/null
    echo --alt wrong-answers.jsonl --alt-own
}

# run CODE ARGS...: the program's output (both streams) is in `said`, its exit status must be CODE.
run() {
    want=$1
    shift
    code=0
    "$UL" "$@" > said 2>&1 < /dev/null || code=$?
    [ "$code" -eq "$want" ] || fail "exit status $code, not $want: unlearn $*"
}

# says TEXT...: each text stands in what the last run said.
says() {
    for text; do grep -qF -- "$text" said || fail "does not say: $text"; done
}

# refuses CODE OUT TEXT... -- ARGS...: the run ends with CODE within ten seconds, says one error line that has every TEXT,
# and OUT ("-": none) holds no file afterwards. `unlearn ARGS --out OUT` is what is run.
refuses() {
    want=$1
    out=$2
    shift 2
    n=0
    : > texts
    while [ "$1" != -- ]; do
        printf '%s\n' "$1" >> texts
        shift
    done
    shift
    [ "$out" = - ] || set -- "$@" --out "$out"
    start=$(date +%s)
    run "$want" "$@"
    [ $(($(date +%s) - start)) -le 10 ] || fail "took $(($(date +%s) - start)) s: unlearn $*"
    n=$(grep -c '^unlearn: ' said || true)
    [ "$n" -eq 1 ] || fail "$n error lines, not 1: unlearn $*"
    while IFS= read -r text; do
        grep '^unlearn: ' said | grep -qF -- "$text" || fail "the error does not say \"$text\": unlearn $*"
    done < texts
    if [ "$out" != - ] && [ -e "$out" ]; then
        fail "left behind: $(find "$out" | tr '\n' ' ')(unlearn $*)"
        rm -rf "$out"
    fi
}

same() {
    cmp -s "$1" "$2" || fail "$1 and $2 differ${3:+ ($3)}"
}

# A step log without its times.
log_numbers() {
    sed 's/, *"ms".*//; s/,"ms".*//' "$1"
}

# ---- a tiny world: words, a shape, facts, and a model that has learned them -------------------------------------------
WORDS='Question Answer : ? where was who what does born lives works ana bob cid dora eve fay gus hal rome oslo lima kyiv paris quito
farmer baker smith pilot clerk I don t know . , ’ not sure about that'

write_tokenizer() { # FILE [extra words]
    {
        printf '{"version":"1.0","truncation":null,"padding":null,"added_tokens":['
        i=0
        for w in '<pad>' '<bos>' '<eos>' '<unk>'; do
            [ $i -eq 0 ] || printf ','
            printf '{"id":%d,"content":"%s","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}' $i "$w"
            i=$((i + 1))
        done
        printf '],"normalizer":null,"pre_tokenizer":{"type":"Whitespace"},"post_processor":{"type":"TemplateProcessing",'
        printf '"single":[{"SpecialToken":{"id":"<bos>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],'
        printf '"pair":[{"SpecialToken":{"id":"<bos>","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],'
        printf '"special_tokens":{"<bos>":{"id":"<bos>","ids":[1],"tokens":["<bos>"]}}},"decoder":null,'
        printf '"model":{"type":"WordLevel","unk_token":"<unk>","vocab":{"<pad>":0,"<bos>":1,"<eos>":2,"<unk>":3'
        i=4
        for w in $WORDS ${2:-}; do
            printf ',"%s":%d' "$w" $i
            i=$((i + 1))
        done
        printf '}}}\n'
    } > "$1"
}

write_shape() { # DIR [dtype]
    mkdir -p "$1"
    cat > "$1/config.json" << END
{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 16, "intermediate_size": 32,
 "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 64,
 "max_position_embeddings": 48, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
 "tie_word_embeddings": true, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "torch_dtype": "${2:-float32}"}
END
    write_tokenizer "$1/tokenizer.json"
    printf '{"tokenizer_class":"PreTrainedTokenizerFast","pad_token":"<pad>","bos_token":"<bos>","eos_token":"<eos>","unk_token":"<unk>"}\n' \
        > "$1/tokenizer_config.json"
    printf '{"eos_token_id": 2, "temperature": 0.7}\n' > "$1/generation_config.json"
}

write_facts() {
    : > forget.jsonl
    : > retain.jsonl
    i=0
    for who in ana bob cid dora eve fay gus hal; do
        set -- rome oslo lima kyiv paris quito rome oslo
        shift $((i % 6))
        town="\"$1\", \"perturbed_answer\": [\"$2\", \"$3\"], \"entity\": $i"
        set -- farmer baker smith pilot clerk farmer baker
        shift $((i % 5))
        job="\"$1\", \"perturbed_answer\": [\"$2\", \"$3\"], \"entity\": $i"
        f=retain.jsonl
        [ $i -ge 3 ] || f=forget.jsonl
        printf '{"question": "where was %s born ?", "answer": %s}\n{"question": "what does %s works ?", "answer": %s}\n' \
            "$who" "$town" "$who" "$job" >> $f
        i=$((i + 1))
    done
    cat forget.jsonl retain.jsonl > all.jsonl
}

# model: trained from `shape` on all facts; forget.jsonl, retain.jsonl, all.jsonl.
tiny_world() {
    write_shape shape
    write_facts
    run 0 train --fresh --model shape --data all.jsonl --steps 30 --batch 8 --lr 0.02 --init-std 0.1 --out model --quiet
}

# copy_model NAME: a copy of `model` to spoil.
copy_model() {
    rm -rf "$1"
    mkdir "$1"
    cp model/* "$1/"
    chmod u+w "$1"/*
}

# le64 N: eight bytes, little end first.
le64() {
    rest=$1
    for _ in 1 2 3 4 5 6 7 8; do
        printf "\\$(printf '%03o' $((rest % 256)))"
        rest=$((rest / 256))
    done
}

# header FILE: the JSON header of a safetensors file. spoil FILE 'sed script': the file again with its header edited
# (any length), its data as they are.
header_bytes() {
    od -An -t u8 -N 8 "$1" | tr -d ' '
}
header() {
    dd if="$1" bs=1 skip=8 count="$(header_bytes "$1")" 2> /dev/null
}
spoil() {
    header "$1" | sed "$2" > spoilt-header
    n=$(header_bytes "$1")
    { le64 "$(wc -c < spoilt-header)"; cat spoilt-header; tail -c +$((9 + n)) "$1"; } > spoilt-file
    cp spoilt-file "$1"
}

# bytes_at FILE OFFSET 'octal escapes': overwrite in place.
bytes_at() {
    printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc 2> /dev/null
}

# tensor_at FILE NAME: the place in the file of the first byte of a tensor.
tensor_at() {
    first=$(header "$1" | tr '{' '\n' | grep -A1 "\"$2\":" | grep -o 'data_offsets":\[[0-9]*' | tail -n 1 | grep -o '[0-9]*$')
    echo $((8 + $(header_bytes "$1") + first))
}
