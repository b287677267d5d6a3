#!/bin/sh
# bad_input.sh - every line of "bad input": the exit status, one message with file, place and numbers, and nothing left behind.
. "$(dirname "$0")/_lib.sh"
tiny_world
forget="--forget forget.jsonl --retain retain.jsonl --method npo --steps 2 --batch 2"
f=spoilt/model.safetensors

# ---- weights ---------------------------------------------------------------------------------------------------------
bad() { # TEXT... of the spoilt model, through the verb that writes and the one that only looks
    refuses 3 out "$@" -- forget --model spoilt $forget
    rm -rf out
}
size=$(wc -c < model/model.safetensors)

copy_model spoilt
head -c $((size - 100)) model/model.safetensors > $f
bad "$f" "ends at byte" $((size - 100))
refuses 3 - "$f" $((size - 100)) -- inspect spoilt

copy_model spoilt
: > $f
bad "$f"

copy_model spoilt
head -c 5 model/model.safetensors > $f
bad "$f" 5

copy_model spoilt # a header of 2^60 bytes
bytes_at $f 0 '\000\000\000\000\000\000\000\020'
bad "$f" 1152921504606846976 $((size - 8))

copy_model spoilt # a header that ends beyond the file
{ le64 $((size + 1)); tail -c +9 model/model.safetensors; } > $f
bad "$f" $((size + 1))

copy_model spoilt # no JSON
bytes_at $f 8 'x'
bad "$f"

copy_model spoilt # invalid UTF-8 in the header
bytes_at $f 12 '\377'
bad "$f"

copy_model spoilt # two tensors on the same bytes
spoil $f 's/\[4096,4160\]/[4032,4096]/'
bad "$f" input_layernorm.weight 4032

copy_model spoilt # beyond the data
spoil $f 's/\[22784,22848\]/[22784,99999]/'
bad "$f" model.norm.weight "ends at byte" $size

copy_model spoilt # a shape that is not the bytes
spoil $f 's/"shape":\[64,16\]/"shape":[64,17]/'
bad "$f" model.embed_tokens.weight

copy_model spoilt # sizes whose product overflows
spoil $f 's/"shape":\[64,16\]/"shape":[4611686018427387904,16]/'
bad "$f" model.embed_tokens.weight

copy_model spoilt # a type that is no weight's
spoil $f 's/"model.norm.weight":{"dtype":"F32"/"model.norm.weight":{"dtype":"I32"/'
bad "$f" model.norm.weight I32

copy_model spoilt # a type that nobody knows
spoil $f 's/"model.norm.weight":{"dtype":"F32"/"model.norm.weight":{"dtype":"F99"/'
bad "$f" model.norm.weight F99

copy_model spoilt # missing: it has another name
spoil $f 's/"model.norm.weight"/"model.nrom.weight"/'
bad model.norm.weight model.nrom.weight

copy_model spoilt # NaN: tensor and index
bytes_at $f $(($(tensor_at $f model.norm.weight) + 4 * 3)) '\000\000\300\177'
bad "$f" 'model.norm.weight' 3
refuses 3 - model.norm.weight 3 -- inspect spoilt --stats

copy_model spoilt # infinity
bytes_at $f $(($(tensor_at $f model.layers.1.mlp.up_proj.weight) + 4 * 37)) '\000\000\200\377'
bad "$f" model.layers.1.mlp.up_proj.weight 37

# ---- shards ----------------------------------------------------------------------------------------------------------
copy_model spoilt
mv $f spoilt/model-00001-of-00002.safetensors
{
    printf '{"metadata":{"total_size":22848},"weight_map":{"model.norm.weight":"model-00002-of-00002.safetensors"'
    header model/model.safetensors | tr '{' '\n' | grep -o '"model\.[^"]*":$' | grep -v '"model.norm' |
        sed 's/:$/:"model-00001-of-00002.safetensors"/; s/^/,/' | tr -d '\n'
    printf '}}'
} > spoilt/model.safetensors.index.json
bad model-00002-of-00002.safetensors

copy_model spoilt
rm $f
bad spoilt model.safetensors

# ---- config.json and tokenizer ----------------------------------------------------------------------------------------
config() { # sed script
    copy_model spoilt
    sed "$1" model/config.json > spoilt/config.json
}
config 's/"intermediate_size": 32/"intermediate_size": 48/'
bad mlp. 32 48
config 's/"num_hidden_layers": 2/"num_hidden_layers": 3/'
bad model.layers.2.
config 's/"num_hidden_layers": 2/"num_hidden_layers": 1/'
bad model.layers.1.
config 's/"vocab_size": 64/"vocab_size": 70/'
bad model.embed_tokens.weight 64 70
config 's/"num_attention_heads": 2/"num_attention_heads": 3/'
bad config.json 5
config 's/"hidden_size": 16/"hidden_size": "big"/'
bad config.json hidden_size
config 's/"model_type": "llama"/"model_type": "lama"/'
bad config.json lama llama qwen2 gpt2
config 's/"hidden_act": "silu"/"hidden_act": "sliu"/'
bad config.json sliu
copy_model spoilt
rm spoilt/config.json
bad config.json
config 's/,.*//'
bad config.json

copy_model spoilt
write_tokenizer spoilt/tokenizer.json 'v1 v2 v3 v4 v5 v6 v7 v8 v9 v10 v11 v12 v13 v14 v15 v16 v17 v18 v19 v20 v21 v22'
bad tokenizer.json 64
copy_model spoilt
rm spoilt/tokenizer.json
bad tokenizer.json
copy_model spoilt
printf '{"model":' > spoilt/tokenizer.json
bad tokenizer.json
refuses 3 out nowhere 'no such directory' -- forget --model nowhere $forget
refuses 3 out forget.jsonl 'is a file' -- forget --model forget.jsonl $forget
for f in config.json tokenizer.json model.safetensors; do # a pipe that nobody writes to is not waited for
    copy_model spoilt
    rm spoilt/$f
    mkfifo spoilt/$f
    bad spoilt
done
mkfifo pipe.jsonl
refuses 3 out pipe.jsonl 'a file is expected' -- forget --model model --forget pipe.jsonl --method ga

# ---- data --------------------------------------------------------------------------------------------------------------
data() {
    refuses 3 out "$@" -- forget --model model --forget bad.jsonl --retain retain.jsonl --method npo --steps 2 --batch 2
}
: > bad.jsonl
data bad.jsonl
printf '\n\n' > bad.jsonl
data bad.jsonl
printf '[]' > bad.json
refuses 3 out bad.json -- forget --model model --forget bad.json --retain retain.jsonl --method npo
{ cat forget.jsonl; printf '{"question": "where was ana born ?"}\n'; } > bad.jsonl
data bad.jsonl:7 answer
{ cat forget.jsonl; printf '{"quest": "a", "ans": "b"}\n'; } > bad.jsonl
data bad.jsonl:7 quest
{ cat forget.jsonl; printf '{"question": {"a": 1}, "answer": "b"}\n'; } > bad.jsonl
data bad.jsonl:7 prompt
{ cat forget.jsonl; printf '{"question": "a", "answer": "b"\n'; } > bad.jsonl
data bad.jsonl:7
{ cat forget.jsonl; printf '{"question": "a", "answer": "\303\050"}\n'; } > bad.jsonl
data bad.jsonl:7 UTF-8
printf 'abc\377def\n' > bad.txt
refuses 3 out bad.txt UTF-8 -- forget --model model --forget bad.txt --retain retain.jsonl --method npo
refuses 3 out nothing.jsonl -- forget --model model --forget nothing.jsonl --retain retain.jsonl --method npo
refuses 3 out forget.jsonl:1 '"q"' -- forget --model model --forget forget.jsonl --retain retain.jsonl --fields prompt=q,answer=a --method npo
printf '' > empty.txt
refuses 3 out empty.txt -- forget --model model --forget forget.jsonl --retain retain.jsonl --method idk --alt empty.txt

# Rows longer than the context: cut with a count; an error under --strict, or where nothing is left to score.
sed 's/"answer": "\([a-z]*\)"/"answer": "\1 \1"/' forget.jsonl > wordy.jsonl
wordy="--model model --forget wordy.jsonl --retain retain.jsonl --method npo --steps 2 --batch 2"
run 0 forget $wordy --max-length 11 --out cut
says 'warning: ' 'wordy.jsonl' '6 of 6' 11 'raise --max-length'
refuses 3 out wordy.jsonl 11 -- forget $wordy --max-length 11 --strict
long="where was ana born where was ana born where was ana born where was ana born where was ana born"
printf '{"question": "%s", "answer": "rome"}\n' "$long $long $long" > long.jsonl
cat forget.jsonl long.jsonl > some.jsonl
run 0 forget --model model --forget some.jsonl --retain retain.jsonl --method npo --steps 2 --batch 2 --quiet --out cut2
says '1 of 7 rows' 'the model reads no more'
refuses 3 out long.jsonl 'none of its 1 rows has an answer token' 48 -- forget --model model --forget long.jsonl \
    --retain retain.jsonl --method npo --steps 2 --batch 2 --quiet
refuses 3 out forget.jsonl 'none of its 6 rows has an answer token' 'within 2' --max-length -- \
    forget --model model $forget --max-length 2

# Rows in both sets: the count, and on it goes.
head -n 2 forget.jsonl | cat - retain.jsonl > both.jsonl
run 0 forget --model model --forget forget.jsonl --retain both.jsonl --method npo --steps 1 --batch 2 --out both
says 'warning: 2 of the 6 forget rows'
run 0 forget --model model $forget --out apart
says 'forget.jsonl: 6 rows (prompt and answer), 72 tokens, 12 of them scored'
grep -q diverged apart/manifest.json && fail 'a run at its defaults counts as diverged'
if grep -q warning said; then fail 'a warning without a reason'; fi

# A model that has become worse than guessing: a warning, once, with what to change; the run is a run all the same.
diverged() { # TEXT ARGS...
    text=$1
    shift
    run 0 forget --model model --forget forget.jsonl "$@" --quiet --force --out worse
    says 'warning: the model has diverged' 'take a smaller --lr' "$text"
    [ "$(grep -c 'warning: the model has diverged' said)" = 1 ] || fail 'told more than once'
    grep -q '"diverged"' worse/manifest.json || fail 'the manifest does not say that the model has diverged'
}
# ... which can be evaluated: what it has lost is told, and its perplexity does not end the evaluation.
destroyed() {
    run 0 forget --model model $forget --lr 100 --quiet --out destroyed
    run 0 eval --model destroyed --forget forget.jsonl --retain retain.jsonl --out lost
    grep -q '^forget_perplexity *1\.8e+308 ' said || fail 'the perplexity of a destroyed model'
    grep -q '^retain_Q_A_Prob *0\.0000 ' said || fail 'the probabilities of a destroyed model'
}
destroyed
diverged '--retain FILE' --method ga --lr 10 --schedule constant --steps 20
diverged --graddiff.gamma --method graddiff --retain retain.jsonl --lr 10 --schedule constant --steps 20
diverged --tv.scale --method tv --tv.scale 1000 --lr 0.5 --steps 5
diverged 'of retain answers' --method rmu --retain retain.jsonl --lr 10 --schedule constant --steps 20
finish
