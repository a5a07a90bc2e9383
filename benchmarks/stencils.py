"""The rows of a synthetic history at a tenth of their cost: the codec writes each kind once, with
marks where something differs, and what differs is put in their place.

Invariant: the rows are those that `codec.encode` and `project.fold` make of `synthetic.history`, to
the byte (a test holds it). Only texts without a sign that JSON would escape can be put in.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from operator import itemgetter
from random import Random
from typing import Any

from benchmarks import synthetic
from benchmarks.synthetic import BEGINNING, BY_WORKER, Company
from ledger.codec import (
    FAR,
    GENESIS,
    dedup_key,
    encode_made,
    encode_provenance,
    encode_values,
    hash_of,
    instant_text,
    kind_of,
    microseconds,
)
from ledger.envelope import Draft
from ledger.events import Applied, Event, Granted, Made, Removed, Revoked, ref
from ledger.model import AccountId, Grant, GrantId, Team, Window, parse_principal
from ledger.project import LatestKey, latest_keys
from ledger.schema import grants
from ledger.values import dumps, plain

SECOND = 1_000_000
HASH = "ab" * 32

Row = tuple[Any, ...]

_DAYS = [(datetime(1970, 1, 1) + timedelta(days=n)).strftime("%Y-%m-%dT") for n in range(30_000)]  # noqa: DTZ001 - only its day is asked for
_SECONDS = [f"{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}" for n in range(86_400)]


def text_of(instant_us: int) -> str:
    """As `codec.instant_text`."""
    second, fraction = divmod(instant_us, SECOND)
    day, rest = divmod(second, 86_400)
    shown = f".{fraction:06}" if fraction else ""
    return f"{_DAYS[day]}{_SECONDS[rest]}{shown}Z"


# --- stencils ---------------------------------------------------------------------------------

_CAUSE = 987_654_321_987
_STARTS, _ENDS, _AT = (datetime(2001, 1, 1, 1, 1, n, tzinfo=UTC) for n in (1, 2, 3))
_MARKS = {
    "@id@": "grant_id",
    "@team@": "team",
    "@account@": "account",
    "@environment@": "environment",
    "user/@principal@": "principal",
    "@policy@": "policy",
    "@ticket@": "ticket",
    instant_text(_STARTS): "starts",
    instant_text(_ENDS): "ends",
    instant_text(_AT): "at",
    str(_CAUSE): "cause",
}


def _stencil(text: str) -> str:
    text = text.replace("%", "%%")
    for mark, name in _MARKS.items():
        text = text.replace(mark, f"%({name})s")
    return text


@dataclass(frozen=True, slots=True)
class Stencil:
    """One kind of event about a grant."""

    kind: str
    payload: str
    key: str

    @staticmethod
    def of(event: Event) -> "Stencil":
        return Stencil(
            kind_of(type(event)),
            _stencil(dumps(plain(event))),
            _stencil(dedup_key(event, _CAUSE)),
        )


def _marked(*, permanent: bool) -> Grant:
    return Grant(
        id=GrantId("@id@"),
        turn=1,
        team=Team("@team@"),
        environment="@environment@",
        account=AccountId("@account@"),
        principal=parse_principal("user/@principal@"),
        policy="@policy@",
        window=Window(_STARTS, None if permanent else _ENDS),
        object="iam-ledger-@id@",
        ticket="@ticket@",
    )


_MADE = Made("inline", "iam-ledger-@id@", HASH)
_REQUESTS = ("request-@id@",)
_WHAT = ref(_marked(permanent=True))
GRANTED = [Stencil.of(Granted(_marked(permanent=permanent))) for permanent in (False, True)]
"""By whether it is permanent, as all pairs here."""
APPLIED = [Stencil.of(Applied(_WHAT, (_MADE,), by, (), 1, _REQUESTS, _AT)) for by in ("aws", None)]
REVOKED = Stencil.of(Revoked(_WHAT, "removed"))
REMOVED = {
    "remove": Stencil.of(Removed(_WHAT, "expired", "answered", SECOND, _REQUESTS, _AT)),
    "remove-revoked": Stencil.of(Removed(_WHAT, "revoked", "answered", SECOND, _REQUESTS, _AT)),
}
WORKER = encode_provenance(BY_WORKER)
NOTHING_MADE = encode_made((), ())
MADE = _stencil(encode_made((_MADE,), ()))

_COLUMNS = [column.name for column in grants.columns]
_BARE: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"turn": 1, "made": NOTHING_MADE}
_projected = itemgetter(*_COLUMNS)


# --- the history ------------------------------------------------------------------------------


@dataclass(slots=True)
class Pressing:
    """Makes the rows of a company's ledger, in order."""

    company: Company
    position: int = 0
    hash: str = GENESIS
    newest: dict[LatestKey, int] = field(default_factory=dict)
    closed: list[Row] = field(default_factory=list)
    """Rows of `grants` that nothing more will change; to be taken away."""
    _open: dict[int, dict[str, Any]] = field(default_factory=dict)

    def events(self) -> Iterator[Row]:
        """Rows of `events`: as many as the company's ledger has."""
        for row in self._all():
            yield row
            if self.position >= self.company.events:
                return

    def still_open(self) -> Iterator[Row]:
        """Rows of `grants` that are not over when the events are."""
        for columns in self._open.values():
            columns["access_to"] = columns["ends_at"]
            yield _projected(columns)

    def _all(self) -> Iterator[Row]:
        company = self.company
        random = Random(company.seed)  # noqa: S311 - the same company every time
        yield from self._catalogue()
        began = microseconds(BEGINNING)
        each_us = timedelta(days=company.days) / max(1, company.events // 4) // timedelta.resolution
        waiting: list[tuple[int, int, str, int]] = []
        number = 0
        while True:
            now = began + each_us * number
            while waiting and waiting[0][0] <= now:
                at, order, step, cause = heappop(waiting)
                grant = self._open[order]
                grant["cause"] = cause
                row, following = self._step(random, grant, step, at)
                if following is not None:
                    heappush(waiting, (following[0], order, following[1], self.position))
                else:
                    self.closed.append(_projected(self._open.pop(order)))
                yield row
            grant = _granted(company, random, number, now // SECOND * SECOND)
            self._open[number] = grant
            stencil = GRANTED[grant["permanent"]]
            row = self._row(now, stencil, grant, _said_in(number))
            grant["granted_position"], grant["granted_at"] = self.position, now
            grant["access_from"] = max(grant["starts_at"], now)
            heappush(waiting, (now + 2 * SECOND, number, "apply", self.position))
            number += 1
            yield row

    def _catalogue(self) -> Iterator[Row]:
        """Accounts and policies, a few thousand: by the codec itself."""
        for event in synthetic.catalogue(self.company):
            self.position += 1
            values = encode_values(
                Draft(event, 0),
                dedup_key(event, 0),
                position=self.position,
                recorded_at_us=microseconds(BEGINNING),
                prev_hash=self.hash,
            )
            self.hash = values[-1]
            self.newest.update(dict.fromkeys(latest_keys(event), self.position))
            yield values

    def _row(self, at: int, stencil: Stencil, grant: Mapping[str, Any], provenance: str) -> Row:
        self.position += 1
        rest = (
            self.position,
            at,
            stencil.kind,
            1,
            grant["team"],
            grant["account"],
            grant["grant_id"],
            1,
            grant["principal"],
            grant["policy"],
            stencil.payload % grant,
            provenance,
            stencil.key % grant,
        )
        before, self.hash = self.hash, hash_of(self.hash, rest)
        return (*rest, before, self.hash)

    def _step(
        self, random: Random, grant: dict[str, Any], step: str, at: int
    ) -> tuple[Row, tuple[int, str] | None]:
        """As `synthetic.history` has it: the row, and when comes what next."""
        grant["at"] = text_of(at)
        permanent, ends = grant["permanent"], grant["ends_at"]
        later = at + 400 * 86_400 * SECOND if permanent else ends
        if step in ("apply", "again"):
            row = self._row(at, APPLIED[permanent], grant, WORKER)
            _write(grant, self.position, at)
            if step == "again":
                return row, (later + SECOND, "remove")
            following = "revoke" if permanent or random.random() < 0.15 else "again"
            return row, (at + _half(later - at), following)
        if step == "revoke":
            row = self._row(at, REVOKED, grant, WORKER)
            grant |= {
                "revoked_position": self.position,
                "revoked_at": at,
                "revoked_cause": "removed",
            }
            return row, (at + 2 * SECOND, "remove-revoked")
        row = self._row(at, REMOVED[step], grant, WORKER)
        _close(grant, self.position, at)
        return row, None


def _granted(company: Company, random: Random, number: int, now: int) -> dict[str, Any]:
    """A grant that begins `now`; asks chance in the order in which `synthetic.history` does."""
    account = 0 if random.random() < 0.02 else random.randrange(company.accounts)
    policy = random.randrange(company.policies)
    length = int(min(random.expovariate(1 / 86_400), 6 * 86_400)) + 3_600
    identity = "".join(random.choices(synthetic.LETTERS, k=16))
    principal = company.principal(random.randrange(company.principals))
    permanent = int(random.random() < company.permanent)
    ends = FAR if permanent else now + length * SECOND
    return _BARE | {
        "grant_id": identity,
        "team": company.team(policy),
        "environment": f"env-{account}",
        "account": company.account(account),
        "principal": principal,
        "principal_key": principal,
        "policy": company.policy(policy),
        "starts_at": now,
        "ends_at": ends,
        "object": f"iam-ledger-{identity}",
        "ticket": f"OPS-{number}",
        "cause": 0,
        "permanent": permanent,
        "starts": text_of(now),
        "ends": "" if permanent else text_of(ends),
    }


def _write(grant: dict[str, Any], position: int, at: int) -> None:
    if grant["applied_position"] is None:
        grant |= {"applied_position": position, "applied_at": at, "applied_recorded_at": at}
        grant |= {"policy_position": 1, "made": MADE % grant}
        grant["enforcement"] = None if grant["permanent"] else "aws"
    grant["written_position"] = position


def _close(grant: dict[str, Any], position: int, at: int) -> None:
    grant |= {"closed_position": position, "closed_at": at, "closed_recorded_at": at}
    grant |= {"closed_how": "answered", "lateness_us": SECOND}
    grant["access_to"] = min(grant["ends_at"], at)


def _half(span_us: int) -> int:
    """As a timedelta is halved: to the nearest, and to the even one of two."""
    half, odd = divmod(span_us, 2)
    return half + (odd & half)


_PLACE = synthetic.said_in(0)
_MARKED = replace(_PLACE, source="@mark@", commit="@mark@", pull_request="@mark@")
_SAID = encode_provenance(_MARKED).replace("%", "%%").replace("@mark@", "%s")


def _said_in(number: int) -> str:
    """As `encode_provenance(said_in(number))`, whose keys stand in the order of the alphabet."""
    said = synthetic.said_in(number)
    return _SAID % (said.commit, said.pull_request, said.source)
