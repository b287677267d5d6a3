#!/bin/sh
# examples.sh - the example of every verb's --help works as it stands where `unlearn demo` has been; --json prints JSON.
. "$(dirname "$0")/_lib.sh"
PATH=$TMP/bin:$PATH
mkdir bin
ln -s "$UL" bin/unlearn

json() { # what the last run printed on standard output is one JSON value
    if command -v python3 > /dev/null 2>&1; then
        python3 -m json.tool < "$1" > /dev/null 2> said || fail "$2: no valid JSON"
    fi
}

# What a demo leaves, at a hundredth of its time: the folders and files that the examples name.
tiny_world
mkdir -p demo-out/data
cp forget.jsonl retain.jsonl demo-out/data/
cp forget.jsonl demo-out/data/rephrased.jsonl
sed 's/ana/Answer/; s/bob/about/; s/cid/sure/' forget.jsonl > demo-out/data/phantom.jsonl # people that no model has met
cp -r model demo-out/target
run 0 train --fresh --model shape --data retain.jsonl --steps 30 --batch 8 --lr 0.02 --init-std 0.1 --out demo-out/control --quiet
run 0 forget --model model --forget forget.jsonl --retain retain.jsonl --method npo --steps 10 --batch 2 --out demo-out/npo --quiet
verbs=$(unlearn --help | sed -n 's/^  \([a-z]*\)  *[a-z].*/\1/p')
[ "$(echo "$verbs" | wc -l)" -ge 11 ] || fail "only these verbs: $verbs"
for verb in $verbs; do
    unlearn "$verb" --help > help 2>&1 || fail "$verb --help: exit status $?"
    if grep -q ' $' help; then fail "$verb --help: blanks at the end of a line"; fi
    example=$(sed -n '/^example:/{n;s/^ *//p;}' help)
    [ -n "$example" ] || { fail "$verb --help has no example"; continue; }
    case $verb in
    demo) continue ;; # `make demo`
    forget | train) example="$example --steps 2" ;;
    bench) continue ;; # has a test of its own
    esac
    code=0
    eval "$example --json" > out.json 2> said < /dev/null || code=$?
    [ $code -eq 0 ] || fail "$example: exit status $code"
    json out.json "$example"
    rm -rf forgotten tuned audited compared sequence relabelled.jsonl
    eval "$example" > out.text 2> said < /dev/null || fail "$example: exit status $?"
    [ -s out.text ] || fail "$example: says nothing"
    case $verb in
    forget) [ -s forgotten/model.safetensors ] && [ -s forgotten/tokenizer.json ] || fail "$example: no whole model" ;;
    train) [ -s tuned/model.safetensors ] && [ -s tuned/tokenizer.json ] || fail "$example: no whole model" ;;
    esac
done
finish
