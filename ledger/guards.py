"""What makes the `events` table append-only inside the database: triggers, as DDL per engine.

Invariant: no statement, INSERT OR REPLACE among them, changes or removes a row, skips a position or
breaks the chain. Used by the migrations, by start-up (which refuses a ledger whose guards are gone)
and by the tests. SQLite's `batch_alter_table` drops triggers silently: never batch-alter `events`.
Whoever owns the database can drop a trigger; only a checkpoint kept elsewhere shows that. On
PostgreSQL the owner is nobody who works with it: `iam-ledger migrate --role`.
"""

SQLITE = {
    "events_refuse_update": """
        CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: UPDATE refused'); END""",
    "events_refuse_delete": """
        CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: DELETE refused'); END""",
    # REPLACE deletes the row in its way without firing delete triggers; these two look first.
    "events_keep_chain": """
        CREATE TRIGGER events_keep_chain BEFORE INSERT ON events
        WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
          OR NEW.prev_hash IS NOT coalesce(
               (SELECT hash FROM events ORDER BY position DESC LIMIT 1),
               '0000000000000000000000000000000000000000000000000000000000000000')
        BEGIN SELECT RAISE(ABORT, 'the ledger is a chain: this row is not its next'); END""",
    "events_refuse_replace": """
        CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events
        WHEN EXISTS (SELECT 1 FROM events WHERE dedup_key = NEW.dedup_key)
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: this event stands already'); END""",
}


_REFUSE = """
    BEGIN
      RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
        MESSAGE = 'the ledger is append-only: ' || TG_OP || ' refused';
    END"""

# Positions are unique by the key, so that as many as they span are all of them. What precedes the
# first is looked up by the key, the rest is compared within: the table is never read through.
_KEEP = """
    DECLARE lowest bigint; highest bigint; number bigint; before text;
    BEGIN
      SELECT min(position), max(position), count(*) INTO lowest, highest, number FROM added;
      IF number = 0 THEN
        RETURN NULL;
      END IF;
      IF lowest = 1 THEN
        before = '0000000000000000000000000000000000000000000000000000000000000000';
      ELSE
        SELECT hash INTO before FROM events WHERE position = lowest - 1;
      END IF;
      IF before IS NULL OR highest - lowest + 1 <> number
        OR EXISTS (SELECT 1 FROM events WHERE position > highest)
        OR EXISTS (
          SELECT 1 FROM (
            SELECT prev_hash, lag(hash, 1, before) OVER (ORDER BY position) AS previous FROM added
          ) AS link WHERE prev_hash IS DISTINCT FROM previous
        )
      THEN
        RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation',
          MESSAGE = 'the ledger is a chain: this row is not its next';
      END IF;
      PERFORM pg_notify('iam_ledger_events', highest::text);
      RETURN NULL;
    END"""

_FUNCTIONS = {"events_refuse_change": _REFUSE, "events_keep_chain": _KEEP}

# By statement: by row, one that meets no row would pass in silence, and TRUNCATE has no rows.
# Worded as the server words them (pg_get_triggerdef), which start-up compares.
_POSTGRESQL = {
    "events_refuse_update": ("BEFORE UPDATE", "", "events_refuse_change"),
    "events_refuse_delete": ("BEFORE DELETE", "", "events_refuse_change"),
    "events_refuse_truncate": ("BEFORE TRUNCATE", "", "events_refuse_change"),
    "events_keep_chain": ("AFTER INSERT", "REFERENCING NEW TABLE AS added ", "events_keep_chain"),
}


def names(dialect: str) -> tuple[str, ...]:
    """The guards of an engine; ValueError for one that has none."""
    if dialect == "sqlite":
        return tuple(SQLITE)
    if dialect == "postgresql":
        return tuple(_POSTGRESQL)
    raise ValueError(f"no guards for {dialect}: ledgers live in SQLite or PostgreSQL")


def statements(dialect: str) -> tuple[str, ...]:
    """The DDL that puts all guards in place where none is."""
    return tuple(ddl for name in names(dialect) for ddl in making(dialect, name))


def making(dialect: str, name: str) -> tuple[str, ...]:
    """The DDL that puts one guard in place where it is not."""
    if dialect == "sqlite":
        return (_flat(SQLITE[name]),)
    function = _POSTGRESQL[name][2]
    return (
        # Names in the function mean what they mean here, whatever the search path of whoever
        # inserts: a temporary table called events would be asked else.
        "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', true)",
        f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
        f"SET search_path FROM CURRENT AS $${_flat(_FUNCTIONS[function])}$$",
        _trigger(name),
        # A plain trigger is passed over under session_replication_role = replica.
        f"ALTER TABLE events ENABLE ALWAYS TRIGGER {name}",
    )


def removing(dialect: str, name: str) -> str:
    """The DDL that takes a guard away: for one that does not stand as written, and for tests."""
    return f"DROP TRIGGER {name}" + (" ON events" if dialect == "postgresql" else "")


def statement(dialect: str, name: str) -> str:
    """One guard as it stands in the database: what `missing` compares with."""
    if dialect == "sqlite":
        return _flat(SQLITE[name])
    return f"{_trigger(name)} A {_flat(_FUNCTIONS[_POSTGRESQL[name][2]])} pinned"


def missing(dialect: str, standing: dict[str, str]) -> tuple[str, ...]:
    """Names of the guards that do not stand as written, given trigger name -> how it stands."""
    return tuple(
        name for name in names(dialect) if _flat(standing.get(name, "")) != statement(dialect, name)
    )


def _trigger(name: str) -> str:
    when, more, function = _POSTGRESQL[name]
    return (
        f"CREATE TRIGGER {name} {when} ON events {more}FOR EACH STATEMENT "
        f"EXECUTE FUNCTION {function}()"
    )


def _flat(text: str) -> str:
    return " ".join(text.split())
