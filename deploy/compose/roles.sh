#!/bin/sh
# Run once by PostgreSQL's image in an empty database: the four roles of docs/postgresql.md, with the
# passwords from their files, and the ledger's database. What each role may do, `migrate` tells.
set -eu
secrets=${SECRETS:-/run/secrets}

ask() { psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres "$@"; }

for duty in owner ingest worker auditor; do
    ask --set role="ledger_$duty" --set password="$(cat "$secrets/${duty}_password")" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
SQL
done

ask <<'SQL'
CREATE DATABASE ledger OWNER ledger_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE ledger FROM PUBLIC;
GRANT CONNECT ON DATABASE ledger TO ledger_ingest, ledger_worker, ledger_auditor;
SQL
