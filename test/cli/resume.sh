#!/bin/sh
# resume.sh - a run that was killed, or interrupted, goes on to the same bits; a step whose numbers are not finite stops it
# and leaves the last good checkpoint.
. "$(dirname "$0")/_lib.sh"
tiny_world
forget="forget --model model --forget forget.jsonl --retain retain.jsonl --method npo --steps 200 --batch 4 --save-every 10 --quiet"

whole=whole weights=model.safetensors
run 0 $forget --out whole
[ ! -e whole/checkpoint.safetensors ] || fail 'a finished run keeps its checkpoint'
[ ! -e whole/reference ] || fail 'a finished run keeps its references'

# started OUT SIGNAL: starts the run, and sends the signal once there is a checkpoint; its exit status is in $code.
started() {
    "$UL" $forget --out "$1" > said 2>&1 &
    pid=$!
    waited=0
    until [ -e "$1/checkpoint.safetensors" ] || [ $waited -ge 600 ]; do
        sleep 0.02
        waited=$((waited + 1))
    done
    kill -"$2" $pid 2> /dev/null || true
    code=0
    wait $pid 2> /dev/null || code=$?
    [ ! -e "$1/$weights" ] || fail "$1: the run ended before signal $2 reached it"
    [ -s "$1/checkpoint.safetensors" ] || fail "$1: no checkpoint after signal $2"
}

again() {
    run 0 $forget --out "$1" --resume
    same $whole/$weights "$1/$weights" 'resumed and uninterrupted weights'
    log_numbers $whole/log.jsonl > log1
    log_numbers "$1/log.jsonl" > log2
    same log1 log2 'resumed and uninterrupted step logs'
    [ "$(wc -l < log2)" -eq 200 ] || fail "$1: the log has $(wc -l < log2) lines, not 200"
    [ ! -e "$1/checkpoint.safetensors" ] || fail "$1: a finished run keeps its checkpoint"
}

started killed KILL
[ $code -eq 137 ] || fail "SIGKILL: exit status $code"
# Another recipe, model or data: refused, both digests and what differs named, the checkpoint untouched. Without the
# recipe's file the checkpoint itself still tells.
cp killed/checkpoint.safetensors kept
was=$(header kept | grep -o '"recipe":"[0-9a-f]*"' | cut -d '"' -f 4 | cut -c 1-16)
refuses 2 - killed/.recipe.json "$was" "another recipe" "npo.beta: 0.1 there, 0.3 here. Take" -- $forget --out killed \
    --resume --npo.beta 0.3
mv killed/.recipe.json aside
refuses 2 - killed/checkpoint.safetensors "$was" 'another recipe' -- $forget --out killed --resume --npo.beta 0.3
mv aside killed/.recipe.json
refuses 2 - killed/.recipe.json "$was" 'other forget' 'other retain' -- forget --model model --forget retain.jsonl --retain forget.jsonl --method npo \
    --steps 200 --batch 4 --save-every 10 --quiet --out killed --resume
same kept killed/checkpoint.safetensors 'a refused resume touched the checkpoint'
# A line that the kill tore, and steps that the checkpoint does not have, are cut from the log.
printf '{"step": 199, "loss": 1}\n{"step": 200, "lo' >> killed/log.jsonl
again killed

started stopped INT
[ $code -eq 1 ] || fail "SIGINT: exit status $code"
says 'interrupted after step' 'of 200' '--resume'
again stopped

# A finished output, and the same command again: nothing to do, nothing touched. Another recipe: refused.
ls -l --time-style=full-iso whole > ls1
run 0 $forget --out whole --resume
says 'complete already'
ls -l --time-style=full-iso whole > ls2
same ls1 ls2
refuses 2 - whole/manifest.json 'another recipe' '--lr' '0.5 here' -- $forget --out whole --resume --lr 0.5

# What does not decide the numbers may change on the way: threads, micro-batch, checkpointing.
started changed KILL
run 0 $forget --out changed --resume --threads 1 --micro-batch 1 --checkpoint
same whole/model.safetensors changed/model.safetensors 'resumed with other threads and micro-batches'

# Killed before the first checkpoint: all over again, in the same folder.
mkdir early
printf '{"step": 1, "lo' > early/log.jsonl
again early

# Adapters.
forget="$forget --lora all-linear --lora-r 4"
whole=whole-lora weights=adapter_model.safetensors
run 0 $forget --out whole-lora
started lora KILL
again lora

# Numbers that stop being finite: exit status 1, step and tensor; the checkpoint of a finite state stays and there is no model.
code=0
"$UL" forget --model model --forget forget.jsonl --method ga --optimizer sgd --momentum 0.9 --lr 100 --clip 0 --schedule constant --warmup 0 \
    --weight-decay 10 --steps 500 --batch 4 --save-every 1 --quiet --out nan > said 2>&1 || code=$?
[ $code -eq 1 ] || fail "a loss that is not finite: exit status $code"
says 'the checkpoint of step' ': step ' 'the loss is'
[ ! -e nan/model.safetensors ] || fail 'a model was written after a loss that is not finite'
run 0 inspect nan/checkpoint.safetensors --stats
[ -z "$(find nan -name '*.partial')" ] || fail 'temporary files are left'
finish
