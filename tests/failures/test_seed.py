"""Defects of the seed that no test of a single part holds."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.builders import directory, temporary
from tests.support.commands import Shell, StillClock
from tests.support.ledgers import make_ledger

EXAMPLE = Path(__file__).parents[1] / "support" / "seed_example"


@pytest.mark.parametrize("command", ["validate", "ingest"])
def test_the_shipped_example_is_refused_with_1_by_validate_and_by_ingest(
    command: str, tmp_path: Path
) -> None:
    database = tmp_path / "ledger.db"
    shell = Shell(variables={"IAM_LEDGER_DATABASE_URL": f"sqlite+aiosqlite:///{database}"})
    ran = shell.run(command, EXAMPLE)
    assert ran.code == 1
    for unknown in ("dev.read-only", "platform.admin", "dev.break-glass"):
        assert f"policy `{unknown}` (in `grants`) is not in aws-policies" in ran.out
    assert "success" not in (ran.out + ran.err).casefold()


@pytest.fixture(params=["Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
def machine_in(request: pytest.FixtureRequest) -> Iterator[str]:
    """A machine whose own zone is 14 hours ahead, 12 behind, or UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


def test_what_a_day_is_hangs_on_the_settings_and_never_on_the_machines_own_zone(
    machine_in: str, tmp_path: Path
) -> None:
    """Half past eleven at night in UTC: elsewhere it is another day, and six days reach further."""
    now = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    allowed, too_far = now.date() + timedelta(days=6), now.date() + timedelta(days=7)
    shell = Shell(make_ledger(tmp_path), StillClock(now))
    for last_day, code in ((too_far, 1), (allowed, 0)):
        window = temporary(expiration_date=last_day.isoformat())
        for path, content in directory(windows=[window]).items():
            (tmp_path / "config" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "config" / path).write_bytes(content)
        ran = shell.run("ingest", tmp_path / "config")
        assert ran.code == code, (machine_in, ran.out, ran.err)
    (item,) = shell.run("who-has-access", "-o", "json").json["access"]
    assert item["ends_at"] == f"{too_far.isoformat()}T00:00:00Z", "the end of the last day, in UTC"
