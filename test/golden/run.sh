#!/bin/sh
# run.sh GOLDEN DIR: replay the records under DIR; 77 (skipped) when there is no such folder.
[ -d "$2" ] || { echo "skipped: no folder $2 (golden records of shared test data)"; exit 77; }
exec "$1" "$2"
