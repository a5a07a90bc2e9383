"""What somebody changes by hand, under both settings, by the commands and over the wire.

What was written less than two minutes ago is not judged: the machine's clock and AWS's are moved
together, and nobody waits.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.small import PROD
from tests.support.builders import Files, directory, permanent, temporary
from tests.support.commands import Ran, Shell, StillClock
from tests.support.ledgers import make_ledger
from tests.support.moto_server import MotoServer
from tests.support.wire import Wire, laid
from worker.clock import SystemClock

OURS = f"arn:aws:iam::{PROD}:policy/iam-ledger/payments-look"
LATER = timedelta(minutes=10)


@pytest.fixture
def wire(moto_server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    for name in ("user/ana", "user/ben"):
        moto_server.add(PROD, name)
    with laid(moto_server.url) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        yield wire


class Place:
    """A directory and its ledger, and a clock that AWS's goes with."""

    def __init__(self, folder: Path, wire: Wire) -> None:
        make_ledger(folder)
        address = f"sqlite+aiosqlite:///{folder / 'ledger.db'}"
        self.config, self.wire = folder / "config", wire
        self.shell = Shell(None, StillClock(SystemClock().now()))
        self.shell.variables["IAM_LEDGER_DATABASE_URL"] = address

    def declare(self, drift: str) -> None:
        for path, content in files(drift).items():
            (self.config / path).parent.mkdir(parents=True, exist_ok=True)
            (self.config / path).write_bytes(content)
        assert self.shell.run("ingest", self.config).code == 0

    def work(self) -> list[str]:
        """One pass; the calls by which it changed something."""
        before = len(self.wire.writes)
        self.shell.run("worker", "--once", "-q")
        return [call.action for call in self.wire.writes[before:]]

    def rehearse(self) -> tuple[list[str], Ran]:
        ran = self.shell.run("plan", self.config, "--aws", "-o", "json")
        (account,) = ran.json["aws"]["accounts"]
        return [step["call"] for step in account["steps"]], ran

    def later(self) -> None:
        self.shell.clock.instant += LATER
        self.wire.ahead += LATER


def files(drift: str) -> Files:
    return directory(
        accounts={"prod": PROD},
        standing=[permanent("ana")],
        windows=[temporary("ben", duration="4h")],
        settings={"drift": drift},
    )


def _without_its_end(document: Any) -> str:
    statements = document["Statement"]
    for each in statements if isinstance(statements, list) else [statements]:
        del each["Condition"]
    return json.dumps(document)


def test_what_was_cut_stays_cut_under_warn_and_is_given_again_under_repair_but_no_end_stays_open(
    moto_server: MotoServer, wire: Wire, tmp_path: Path
) -> None:
    iam, place = moto_server.iam(PROD), Place(tmp_path, wire)
    place.declare("warn")
    assert len(place.work()) == 4
    ((name, document),) = _copies(moto_server)
    closed = json.dumps(document)
    iam.put_user_policy(UserName="ben", PolicyName=name, PolicyDocument=_without_its_end(document))
    iam.detach_user_policy(UserName="ana", PolicyArn=OURS)
    place.later()
    assert place.rehearse()[0] == ["PutUserPolicy"]
    assert place.work() == ["PutUserPolicy"]
    ((_, document),) = _copies(moto_server)
    assert json.dumps(document) == closed
    (missing,) = place.shell.run("status", "-o", "json").json["missing"]
    assert (missing["principal"], missing["policy"]) == ("ana", "look")

    place.declare("repair")
    iam.attach_user_policy(UserName="ben", PolicyArn=OURS)
    place.later()
    told, ran = place.rehearse()
    assert sorted(told) == ["AttachUserPolicy", "DetachUserPolicy"]
    assert {item["drift"] for item in ran.json["aws"]["accounts"][0]["drift"]} <= {"missing"}
    assert place.work() == told
    iam = moto_server.iam(PROD)
    attached = iam.list_entities_for_policy(PolicyArn=OURS)
    assert [user["UserName"] for user in attached["PolicyUsers"]] == ["ana"]
    place.later()
    assert place.work() == []
    history = place.shell.run("history", "--account", PROD, "-o", "json").json["events"]
    found = [event["kind"] for event in history if event["kind"].startswith("drift_")]
    assert (found.count("drift_found"), found.count("drift_repaired")) == (3, 3)
    made = [
        event["sentence"] for event in history if event["kind"] in ("applied", "policy_written")
    ]
    assert len(made) == 6
    assert all("; request " in sentence for sentence in made)


def _copies(moto: MotoServer) -> list[tuple[str, Any]]:
    found = moto.iam(PROD).list_user_policies(UserName="ben")["PolicyNames"]
    get = moto.iam(PROD).get_user_policy
    return [
        (name, get(UserName="ben", PolicyName=name)["PolicyDocument"]) for name in sorted(found)
    ]
