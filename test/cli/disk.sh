#!/bin/sh
# disk.sh - a disk without room: exit status 4 before the run where it can be known, and no half of an output ever.
. "$(dirname "$0")/_lib.sh"
tiny_world
forget="--model model --forget forget.jsonl --retain retain.jsonl --method npo --steps 4 --batch 2"

# no_model OUT: neither weights nor anything that looks like a model, nor temporaries.
no_model() {
    left=$(find "$1" -name '*.partial' -o -name 'model*' -o -name 'config.json' -o -name 'adapter*' -o -name 'manifest.json')
    [ -z "$left" ] || fail "left behind: $left"
}

# Files may not grow beyond 4 KiB (POSIX counts 512 bytes, some shells 1024): the first large write fails.
small() { (ulimit -f 8 && exec "$UL" "$@"); }
for how in '--save-every 1' '--save-every -1' '--lora all-linear --lora-r 64'; do
    rm -rf out
    code=0
    small forget $forget $how --out out > said 2>&1 || code=$?
    [ $code -eq 4 ] || fail "files of 8 blocks at most, $how: exit status $code"
    says 'unlearn: out/' 'safetensors'
    no_model out
done
code=0
small eval --model model --forget forget.jsonl --retain retain.jsonl --out report > said 2>&1 || code=$?
case $code in 0 | 4) ;; *) fail "eval: exit status $code" ;; esac

# Standard output that is full.
if [ -c /dev/full ]; then
    code=0
    "$UL" inspect model --json > /dev/full 2> said || code=$?
    [ $code -eq 4 ] || fail "standard output is full: exit status $code"
    for c in 'methods' "eval --model model --forget forget.jsonl --quiet"; do
        code=0
        "$UL" $c > /dev/full 2> said || code=$?
        [ $code -eq 4 ] || fail "$c: standard output is full: exit status $code"
        says 'unlearn: standard output cannot be written'
    done
fi

# A disk of 64 KiB, where one may be mounted: there is room neither for the state of the run nor, with --save-every -1, a second time.
mkdir disk
cat > on_disk << 'END'
set -e
mount -t tmpfs -o size=64k none disk
"$1" forget $2 --out disk/out > said 2>&1 || echo $? > status
find disk -type f > files
dd if=/dev/zero of=disk/fill bs=1k count=44 2> /dev/null
"$1" forget $2 --save-every -1 --out disk/out2 > said2 2>&1 || echo $? > status2
find disk -type f > files2
umount disk
mount -t tmpfs -o size=110k none disk
"$1" forget $2 --out disk/out3 > said3 2>&1 || echo $? > status3
find disk -type f > files3
mount -o remount,ro disk
"$1" forget $2 --out disk/out4 > said4 2>&1 || echo $? > status4
END
if unshare -rm true 2> /dev/null && unshare -rm sh on_disk "$UL" "$forget --quiet" 2> mount-error; then
    [ "$(cat status)" -eq 4 ] || fail "a disk of 64 KiB: exit status $(cat status)"
    says 'disk/out' 'no space left' ' bytes ' ' free'
    [ ! -s files ] || fail "left behind: $(cat files)"
    cp said2 said
    [ "$(cat status2)" -eq 4 ] || fail "a disk with 20 KiB left: exit status $(cat status2)"
    says 'no space left'
    ! grep -q 'out2/' files2 || fail "left behind: $(cat files2)"
    cp said3 said # room for the weights and the state, not for the tokenizer and the manifest too
    [ "$(cat status3)" -eq 4 ] || fail "a disk of 110 KiB: exit status $(cat status3)"
    says 'disk/out3: no space left' ' will be wanted'
    [ ! -s files3 ] || fail "left behind: $(cat files3)"
    cp said4 said
    [ "$(cat status4)" -eq 4 ] || fail "a disk that is only read: exit status $(cat status4)"
    says 'disk/out4: cannot make the folder: Read-only file system'
else
    printf 'disk: no file system can be mounted here; full files were tested, a full disk was not\n'
fi
finish
