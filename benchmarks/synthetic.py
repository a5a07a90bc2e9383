"""A ledger of any size that never was: grants of three years, four events each, as `append` would
have written them.

Whom it is about and what happened, event by event. `benchmarks/building.py` puts it into a ledger.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random

from ledger.envelope import Draft, Provenance
from ledger.events import (
    AccountMapped,
    Applied,
    Event,
    Granted,
    Made,
    PolicyDefined,
    Removed,
    RemovedCause,
    Revoked,
    ref,
)
from ledger.model import (
    Account,
    AccountId,
    Grant,
    GrantId,
    Policy,
    Team,
    Window,
    parse_principal,
)

BEGINNING = datetime(2023, 1, 1, tzinfo=UTC)
TEAMS = 50
TEXT = '{"Statement":[{"Action":"s3:*","Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}'
BY_WORKER = Provenance(replica="worker-1", pass_id="pass-1")  # noqa: S106 - no password
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class Company:
    """Whose ledger it is."""

    events: int
    accounts: int = 5_000
    """The first of them takes a fiftieth of all grants."""
    principals: int = 20_000
    policies: int = 400
    days: int = 1_095
    permanent: float = 0.03
    """The part of the grants that has no end."""
    seed: int = 1

    @property
    def end(self) -> datetime:
        return BEGINNING + timedelta(days=self.days)

    def account(self, number: int) -> AccountId:
        return AccountId(f"{100_000_000_000 + number}")

    def principal(self, number: int) -> str:
        return f"{'role' if number % 10 == 0 else 'user'}/person-{number:05}"

    def policy(self, number: int) -> str:
        return f"policy-{number:03}"

    def team(self, number: int) -> Team:
        return Team(f"team-{number % TEAMS:02}")


def said_in(number: int) -> Provenance:
    """Where a grant's line came from, as `ingest` in a pipeline says it."""
    return Provenance(
        source=f"temporary-access/team-{number % TEAMS:02}.yaml:{number % 5_000}",
        commit=f"{number * 2654435761 % 2**64:040x}",
        author="Bob <bob@example.com>",
        merged_at=BEGINNING,
        approved_by=("carol", "dan"),
        pull_request=f"https://example.com/pull/{number % 10_000}",
    )


def history(company: Company) -> Iterator[tuple[datetime, Draft]]:
    """Every event and its instant, in order, without an end; `company.events` is what to take."""
    random = Random(company.seed)  # noqa: S311 - the same company every time
    position = 0
    for event in catalogue(company):
        position += 1
        yield BEGINNING, Draft(event, 0)
    each = timedelta(days=company.days) / max(1, company.events // 4)
    waiting: list[tuple[datetime, int, Grant, str, int]] = []
    number, now = 0, BEGINNING
    while True:
        now = BEGINNING + each * number
        while waiting and waiting[0][0] <= now:
            at, order, grant, step, cause = heappop(waiting)
            position += 1
            event, following = _step(random, grant, step, at)
            yield at, Draft(event, cause, BY_WORKER)
            if following is not None:
                due, name = following
                heappush(waiting, (due, order, grant, name, position))
        grant = _grant(company, random, number, now.replace(microsecond=0))
        position += 1
        yield now, Draft(Granted(grant), 0, said_in(number))
        heappush(waiting, (now + timedelta(seconds=2), number, grant, "apply", position))
        number += 1


def catalogue(company: Company) -> Iterator[Event]:
    for number in range(company.accounts):
        account = company.account(number)
        yield AccountMapped(Account(company.team(number), f"env-{number}", account, "Deployer"))
    for number in range(company.policies):
        name, team = company.policy(number), company.team(number)
        yield PolicyDefined(Policy(team, name, f"{team}-{name}", TEXT))


def _grant(company: Company, random: Random, number: int, now: datetime) -> Grant:
    account = 0 if random.random() < 0.02 else random.randrange(company.accounts)
    policy = random.randrange(company.policies)
    ends = now + timedelta(seconds=int(min(random.expovariate(1 / 86_400), 6 * 86_400)) + 3_600)
    identity = "".join(random.choices(LETTERS, k=16))
    return Grant(
        id=GrantId(identity),
        turn=1,
        team=company.team(policy),
        environment=f"env-{account}",
        account=company.account(account),
        principal=parse_principal(company.principal(random.randrange(company.principals))),
        policy=company.policy(policy),
        window=Window(now, None if random.random() < company.permanent else ends),
        object=f"iam-ledger-{identity}",
        ticket=f"OPS-{number}",
    )


def _step(
    random: Random, grant: Grant, step: str, at: datetime
) -> tuple[Event, tuple[datetime, str] | None]:
    """What happens to a grant now, and what next: applied, written again or revoked, removed."""
    what, ends = ref(grant), grant.window.ends_at
    requests = (f"request-{grant.id}",)
    later = ends or at + timedelta(days=400)
    if step in ("apply", "again"):
        made = Made("inline", grant.object or "", sha256="ab" * 32)
        applied = Applied(what, (made,), None if ends is None else "aws", (), 1, requests, at)
        if step == "again":
            return applied, (later + timedelta(seconds=1), "remove")
        following = "revoke" if ends is None or random.random() < 0.15 else "again"
        return applied, (at + (later - at) / 2, following)
    if step == "revoke":
        return Revoked(what, "removed"), (at + timedelta(seconds=2), "remove-revoked")
    cause: RemovedCause = "revoked" if step == "remove-revoked" else "expired"
    return Removed(what, cause, "answered", 1_000_000, requests, at), None
