"""What makes the `events` table append-only inside the database: triggers, as DDL per engine.

Invariant: no statement, INSERT OR REPLACE among them, changes or removes a row, skips a position or
breaks the chain. Used by the migrations, by start-up (which refuses a ledger whose guards are gone)
and by the tests. SQLite's `batch_alter_table` drops triggers silently: never batch-alter `events`.
Whoever owns a SQLite file can drop a trigger; only a checkpoint kept elsewhere shows that.
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


def statements(dialect: str) -> tuple[str, ...]:
    """The DDL that puts the guards in place on `dialect`; ValueError where there is none yet."""
    return tuple(statement(dialect, name) for name in SQLITE)


def statement(dialect: str, name: str) -> str:
    """The DDL of one guard."""
    if dialect != "sqlite":
        raise ValueError(f"no guards for {dialect} yet: only SQLite ledgers are supported")
    return " ".join(SQLITE[name].split())


def missing(dialect: str, standing: dict[str, str]) -> tuple[str, ...]:
    """Names of the guards that do not stand as written, given trigger name -> its SQL text."""
    return tuple(
        name
        for name in SQLITE
        if " ".join(standing.get(name, "").split()) != statement(dialect, name)
    )
