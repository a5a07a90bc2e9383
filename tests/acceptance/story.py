"""The seed's own workflow (validate, apply, clean up), played once; the tests ask what happened.

Everything is done as people do it: commits in a git repository, the installed command, one worker.
What is asserted here is only what the rest of the story needs in order to go on.
"""

import resource
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

from ledger.codec import instant_text
from ledger.model import AccountId, whole_second
from tests.acceptance import company
from tests.acceptance.company import ANALYTICS, PROD, STAGING
from tests.support.commands import Ran
from tests.support.moto_server import MotoServer
from tests.support.processes import Installation, LogLine, Worker, until
from tests.support.repositories import BEN, Repository
from tests.support.watching import Watch, Watched, inline_names, watching
from tests.support.wire import Call, Fate, Say, Wire, laid

ANA: Watched = (PROD, "user/ana")
DEPLOY: Watched = (STAGING, "role/deploy")
BEN_PROD: Watched = (PROD, "user/ben")
CHLOE: Watched = (ANALYTICS, "user/chloe")
DORA: Watched = (ANALYTICS, "user/dora")

WAIT = ("--wait", "50s")
TAKEN = ("--reason", "the scripts are gone", "--by", "olga")
WORD = ("--reason", "her laptop is lost", "--by", "olga")

Attached = dict[Watched, set[str]]


@dataclass
class Snapshot:
    """AWS and the ledger at one moment of the story."""

    attached: Attached
    policies: dict[str, list[str]]
    """ARNs of the customer's own, by account."""
    inline: dict[Watched, dict[str, object]]
    writes: int
    """Changing calls so far."""
    events: int
    at: datetime


@dataclass
class Story:
    """What was done and what came of it. Complete once `play` has returned it."""

    moto: MotoServer
    wire: Wire
    program: Installation
    repository: Repository
    watch: Watch
    ran: dict[str, Ran] = field(default_factory=dict)
    """How each command ended, by its part in the story."""
    after: dict[str, Snapshot] = field(default_factory=dict)
    """What stood after a part of it."""
    scrapes: list[str] = field(default_factory=list)
    """/metrics, from time to time."""
    probes: dict[str, int] = field(default_factory=dict)
    """Status of a probe's answer, by the moment it was asked."""
    ends: dict[Watched, datetime] = field(default_factory=dict)
    logs: list[LogLine] = field(default_factory=list)
    log_text: str = ""
    exit_code: int | None = None
    """The worker's, after SIGTERM."""

    def do(self, part: str, *arguments: object) -> Ran:
        """A command of the story."""
        self.ran[part] = self.program.run(*arguments)
        return self.ran[part]

    def commit(self, *parts: dict[str, str]) -> str:
        return self.repository.commit(company.encoded(*parts), who=BEN, when=datetime.now(UTC))

    def snapshot(self, part: str) -> None:
        everyone = [(a, text) for a, principals in company.PEOPLE.items() for text in principals]
        self.after[part] = Snapshot(
            attached={
                (account, text): self.moto.attached(account, company.principal(text))
                for account, text in everyone
            },
            policies={account: sorted(self.moto.policies(account)) for account in company.PEOPLE},
            inline={one: self.inline(one) for one in everyone if one[1] != "group/analysts"},
            writes=len(self.wire.writes),
            events=self.program.count_events(),
            at=datetime.now(UTC),
        )

    def inline(self, one: Watched) -> dict[str, object]:
        return self.moto.inline(AccountId(one[0]), company.principal(one[1]))

    def scrape(self, worker: Worker) -> str:
        text = worker.get("/metrics")[1]
        self.scrapes.append(text)
        return text


def play(moto: MotoServer, folder: Path) -> Story:
    """The whole story, from the first pull request to the worker's end."""
    company.populate(moto)
    with ExitStack() as stack:
        wire = stack.enter_context(laid(moto.url))
        repository = Repository.create(folder / "repository")
        program = Installation(folder, wire.url, working_folder=repository.path)
        watch = stack.enter_context(watching([ANA, DEPLOY, BEN_PROD]))
        story = Story(moto, wire, program, repository, watch)
        wire.rule = _names_are_one
        pace = _review(story)
        worker = stack.enter_context(program.daemon())
        _apply(story, worker)
        _grant(story, pace)
        _extend_and_remove(story)
        _revoke(story, worker)
        _meet_weather(story, worker)
        _expire(story)
        _repeat(story)
        _ask(story)
        _stop(story, worker)
    return story


def _review(story: Story) -> timedelta:
    """A pull request with a mistake, then the merge. Returns how long a command takes here."""
    base = (company.ACCOUNTS, company.policies(old=True))
    story.commit(*base, company.standing(look="lok"))
    story.do("validate, mistaken", "validate")
    story.commit(*base, company.standing())
    story.do("validate", "validate")
    began = monotonic()
    story.do("first ingest", "ingest")
    pace = timedelta(seconds=monotonic() - began)
    story.do("rehearsal", "plan", "--aws", "-o", "json")
    story.snapshot("rehearsal")
    return pace


def _names_are_one(call: Call) -> Fate | Say:
    """A policy's name is one whatever its path: moto alone would make a second one."""
    standing = call.account == ANALYTICS and call.parameters.get("PolicyName") == "data-query"
    doubled = call.action == "CreatePolicy" and standing
    return Say(409, "EntityAlreadyExists") if doubled else "pass"


def _apply(story: Story, worker: Worker) -> None:
    """The worker makes all three accounts agree, but for what somebody else has made in one."""
    count = story.program.count_events
    until(lambda: (count("applied"), count("policy_written")) == (6, 5), "the permanent access")
    until(lambda: count("stuck") == 1, "the conflict")
    story.snapshot("conflict")
    story.do("adopt", "adopt", "--yes", "--account", ANALYTICS, *TAKEN, "-o", "json")
    until(lambda: count("applied") == 7, "what was taken over")
    story.snapshot("apply")
    story.scrape(worker)


def _grant(story: Story, pace: timedelta) -> None:
    """Temporary access: as long as this machine needs for what is to be done within, and more."""
    start = datetime.now(UTC)
    ana = whole_second(start + timedelta(seconds=4) + pace * 7)
    story.ends = {ANA: ana, DEPLOY: ana, BEN_PROD: ana + timedelta(seconds=4)}
    base = (company.ACCOUNTS, company.policies(old=True), company.standing())
    story.commit(*base, company.windows(ana=ana, ben=ana + timedelta(seconds=2)))
    story.do("grant", "ingest", *WAIT, "-o", "json")
    story.snapshot("grant")


def _extend_and_remove(story: Story) -> None:
    """Ben's end is moved, a line of his is taken out, and so is a policy that nobody asks for."""
    story.commit(*_later(), _windows(story))
    story.do("extend", "ingest", *WAIT)
    queue = company.ours(PROD, "payments-queue")
    ben = company.principal("user/ben")
    until(lambda: not story.moto.attached(STAGING, ben), "the line's end")
    until(lambda: queue not in story.moto.policies(PROD), "the policy's end in production")
    until(lambda: len(story.moto.policies(STAGING)) == 1, "the policy's end in staging")
    story.snapshot("extend")
    story.do("who, while it lasts", "who-has-access", "--policy", "break-glass", "-o", "json")
    story.do("expiring", "expiring", "--within", "1h", "-o", "json")
    story.ran["status, while it lasts"] = story.program.ask("status", "-o", "json")


def _later() -> tuple[dict[str, str], ...]:
    permanent = company.standing(ben="prod")
    return company.ACCOUNTS, company.policies(old=False), permanent


def _windows(story: Story) -> dict[str, str]:
    return company.windows(ana=story.ends[ANA], ben=story.ends[BEN_PROD])


def _revoke(story: Story, worker: Worker) -> None:
    """By a person's word, while AWS is too busy at first; then the hold, and its release."""
    waited = story.ran["grant"].json["waited"]
    grant = next(item["grant_id"] for item in waited if item["principal"] == "chloe")
    story.wire.rule = _too_busy_to_delete
    story.do("revoke", "revoke", grant, *WORD, "-o", "json")
    _until_said(story, worker, "iam_ledger_grants_exposed 1.0")
    story.wire.rule = lambda _call: "pass"
    until(lambda: not inline_names(*CHLOE), "the revocation")
    story.do("ingest under a hold", "ingest", "-o", "json")
    hold = story.ran["revoke"].json["holds"][0]["hold"]
    story.do("release", "release", hold, *WORD)
    story.do("ingest after release", "ingest", *WAIT)
    story.snapshot("release")


def _too_busy_to_delete(call: Call) -> Fate | Say:
    busy = call.action == "DeleteUserPolicy" and call.account == ANALYTICS
    return Say(400, "Throttling") if busy else "pass"


def _meet_weather(story: Story, worker: Worker) -> None:
    """A grant that does not fit, one for nobody, and a disk that is full for a moment."""
    windows = _windows(story)
    windows["temporary-access/data.yaml"] += company.UNLUCKY
    story.commit(*_later(), windows)
    with disk_full(worker):
        story.do("ingest, unlucky", "ingest", "-o", "json")
        errors = "iam_ledger_ledger_errors_total 0.0"
        until(lambda: errors not in story.scrape(worker), "the database's weather", every_s=0.1)
        story.probes["/livez on a full disk"] = worker.get("/livez")[0]
    _until_said(story, worker, "iam_ledger_grants_refused 1.0", "iam_ledger_grants_stuck 1.0")


def _until_said(story: Story, worker: Worker, *lines: str) -> None:
    """Scrapes until /metrics says all of `lines` at once."""

    def said() -> bool:
        text = story.scrape(worker)
        return all(f"\n{line}\n" in text for line in lines)

    until(said, " and ".join(lines), every_s=0.1)


@contextmanager
def disk_full(worker: Worker) -> Iterator[None]:
    """Within, no file of the worker's can be written to."""
    pid = worker.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def _expire(story: Story) -> None:
    """Nobody does anything."""

    def over() -> bool:
        return not any(inline_names(*one) for one in story.ends)

    until(over, "the ends", limit_s=90)
    until(lambda: story.program.count_events("removed") == 8, "the evidence")


def _repeat(story: Story) -> None:
    """The same directory again, at the same commit, when all windows are over."""
    story.snapshot("before repeating")
    story.do("plan, repeated", "plan", "--detailed-exitcode")
    story.do("repeat", "ingest")
    story.snapshot("repeat")


def _ask(story: Story) -> None:
    """What auditors ask."""
    who = ("who-has-access", "--principal", "ana", "--policy", "break-glass")
    before = instant_text(story.after["grant"].at)
    story.do("who, now", *who, "--exit-code")
    story.do("who, before", *who, "--at", before, "--because", "--exit-code")
    story.do("who, at its end", *who, "--at", instant_text(story.ends[ANA] + LAG), "--exit-code")
    story.do("who, between", *who, "--between", "1h ago", "now", "-o", "json")
    story.do("history", "history", "-o", "json")
    story.do("status", "status", "-o", "json")
    story.do("verify", "verify", "-o", "json")


LAG = timedelta(seconds=1)
"""After its end an answer lists access whose removal is not confirmed, for the moment it takes."""


def _stop(story: Story, worker: Worker) -> None:
    story.scrape(worker)
    story.probes |= {path: worker.get(path)[0] for path in ("/livez", "/readyz")}
    worker.terminate()
    story.exit_code = worker.wait()
    story.logs, story.log_text = worker.logs, "".join(worker.lines)
