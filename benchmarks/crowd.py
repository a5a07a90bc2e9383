"""A ledger of grants that stand in AWS already and are about to end, and the AWS in which they do.

Whom it is about, and when each ends. Invariant: what the ledger says was made is what the stand-in
holds, so that a worker that reads the accounts finds nothing to put right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from benchmarks.stub_account import AWS_OWN
from benchmarks.stub_aws import Seeds
from ledger.envelope import Draft, Provenance
from ledger.events import (
    AccountMapped,
    Applied,
    Event,
    Granted,
    Made,
    Pin,
    PolicyDefined,
    SettingsChanged,
    Sighted,
    ref,
)
from ledger.model import (
    Account,
    AccountId,
    Enforcement,
    Grant,
    GrantId,
    Policy,
    Team,
    Window,
    parse_principal,
)
from ledger.store import Ledger
from ledger.store.append import chunks
from worker.iam.documents import canonical, minify, timed_copy

TEAM = Team("payments")
ROLE = "Deployer"
TEXT = '{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}'
COPIED = f"{AWS_OWN}Copied"
"""Given as a timed copy: class `aws`."""
GUARDED = f"{AWS_OWN}Guarded"
"""Attached as it is, and ended by the worker only: class `daemon`."""

BEFORE = timedelta(hours=1)
DRAFTS_A_COMMIT = 10_000


@dataclass(frozen=True, slots=True)
class Due:
    """One grant: where, and when it ends."""

    account: int
    number: int
    """Among those of its account."""
    ends_at: datetime
    enforcement: Enforcement


@dataclass(frozen=True, slots=True)
class Crowd:
    """Grants that end, in the order of granting."""

    accounts: int
    due: tuple[Due, ...]

    @property
    def seeds(self) -> Seeds:
        """What stands in AWS."""
        found: dict[str, dict[str, object]] = {account_id(n): {} for n in range(self.accounts)}
        found["aws"] = dict(own_policies())
        for one in self.due:
            if one.enforcement == "aws":
                held: dict[str, object] = {"inline": {object_of(one): copy_of(one)}}
            else:
                held = {"attached": [GUARDED]}
            found[account_id(one.account)][f"user/{user_of(one)}"] = held
        return found


def at_once(accounts: int, grants: int, ends_at: datetime, *, daemon_every: int) -> Crowd:
    """So many grants that end at one instant; every so manieth is of class `daemon`."""
    return Crowd(
        accounts,
        tuple(
            Due(
                account=number % accounts,
                number=number // accounts,
                ends_at=ends_at,
                enforcement="aws" if number * 7 % daemon_every else "daemon",
            )
            for number in range(grants)
        ),
    )


def steadily(
    accounts: int, each_second: int, seconds: int, begins_at: datetime, *, daemon_every: int
) -> Crowd:
    """So many ends at each of these seconds, every time in other accounts."""
    return Crowd(
        accounts,
        tuple(
            Due(
                account=number % accounts,
                number=number // accounts,
                ends_at=begins_at + timedelta(seconds=number // each_second),
                enforcement="aws" if number * 7 % daemon_every else "daemon",
            )
            for number in range(each_second * seconds)
        ),
    )


def account_id(number: int) -> AccountId:
    return AccountId(f"{100_000_000_000 + number}")


def user_of(due: Due) -> str:
    return f"person-{due.number:04}"


def object_of(due: Due) -> str:
    return f"iam-ledger-{_id_of(due)}"


def copy_of(due: Due) -> str:
    return minify(timed_copy([TEXT], ends_at=due.ends_at)).text


def _id_of(due: Due) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz234567"
    value, found = due.account * 100_000 + due.number, ""
    for _ in range(16):
        value, digit = divmod(value, 32)
        found += letters[digit]
    return found


async def build(ledger: Ledger, crowd: Crowd) -> None:
    """Fills an empty ledger."""
    drafts = list(_drafts(crowd))
    for some in chunks(drafts, DRAFTS_A_COMMIT):
        await ledger.append(some, now=crowd.due[0].ends_at - BEFORE)


def _drafts(crowd: Crowd) -> Iterator[Draft]:
    by_people = Provenance(author="Bob <bob@example.com>", commit="c" * 40)
    by_worker = Provenance(replica="worker-0", pass_id="pass-0")  # noqa: S106 - no password
    texts = own_policies().items()
    pins = {arn: Pin(arn, "v1", canonical(text).sha256) for arn, text in texts}
    position = 0
    for event in _catalogue(crowd):
        position += 1
        yield Draft(event, 0, by_people)
    text, guarded = position - 1, position  # the two policies are the last of it
    for due in crowd.due:
        grant = _grant(due)
        timed = due.enforcement == "aws"
        position += 1
        granted = position
        yield Draft(Granted(grant), 0, by_people)
        if timed:
            sha256 = minify(timed_copy([TEXT], ends_at=due.ends_at)).sha256
            made = Made("inline", object_of(due), sha256)
        else:
            position += 1
            made = Made("attachment", GUARDED, None)
            yield Draft(Sighted(ref(grant), GUARDED, present=False), granted, by_worker)
        position += 1
        applied = Applied(
            grant=ref(grant),
            made=(made,),
            enforcement=due.enforcement,
            pins=(pins[COPIED if timed else GUARDED],),
            policy_position=text if timed else guarded,
            requests=(f"request-{grant.id}",),
            confirmed_at=grant.window.starts_at,
        )
        yield Draft(applied, granted, by_worker)


def _catalogue(crowd: Crowd) -> Iterator[Event]:
    yield SettingsChanged(
        policy_path="/iam-ledger/",
        drift="warn",
        managed_principals=(),
        protected_principals=(),
        user_names="local-part",
    )
    for number in range(crowd.accounts):
        yield AccountMapped(Account(TEAM, f"env-{number}", account_id(number), ROLE))
    copied = Policy(
        team=TEAM,
        name="fix",
        iam_name=f"{TEAM}-fix",
        document=None,
        managed_policies=(COPIED,),
    )
    yield PolicyDefined(copied)
    attached = Policy(
        team=TEAM,
        name="guarded",
        iam_name=f"{TEAM}-guarded",
        document=None,
        managed_policies=(GUARDED,),
        enforcement="daemon",
    )
    yield PolicyDefined(attached)


def _grant(due: Due) -> Grant:
    identity = _id_of(due)
    return Grant(
        id=GrantId(identity),
        turn=1,
        team=TEAM,
        environment=f"env-{due.account}",
        account=account_id(due.account),
        principal=parse_principal(f"user/{user_of(due)}"),
        policy="fix" if due.enforcement == "aws" else "guarded",
        window=Window(due.ends_at - BEFORE, due.ends_at),
        object=f"iam-ledger-{identity}",
        ticket=f"OPS-{due.number}",
    )


def own_policies() -> dict[str, str]:
    """AWS's own policies that the grants are about: ARN -> text."""
    deny = {"Action": "s3:DeleteBucket", "Effect": "Deny", "Resource": "*"}
    statements = [*orjson.loads(TEXT)["Statement"], deny]
    guarded = orjson.dumps({"Version": "2012-10-17", "Statement": statements}).decode()
    return {COPIED: TEXT, GUARDED: guarded}
