#!/bin/sh
# Makes the passwords that compose.yaml mounts, each in a file of `secrets` here; what stands is kept.
# Nobody else may enter the folder. The files in it are readable, because the programs that they are
# mounted for run as users of their own.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")"
mkdir -p -m 700 secrets
for name in postgres owner ingest worker auditor; do
    file=secrets/${name}_password
    [ -s "$file" ] && continue
    (umask 022 && od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$file")
done
