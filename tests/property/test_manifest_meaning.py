"""Any valid directory reads back to what it means, however it is written."""

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.manifest import DeclaredGrant, EndsAt, LastDay, Lasts, Permanent, read
from ledger.model import PRINCIPAL_KINDS, KindFacts

NAMES = st.text("abcxyz019", min_size=1, max_size=6)
LABELS = st.text("abc.- é019", min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and not text.startswith("-")
)
TEMPORARY_KINDS = [facts for facts in PRINCIPAL_KINDS.values() if facts.temporary]
INSTANTS = st.datetimes(datetime(2030, 1, 1), datetime(2039, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001  # the zone is added
    lambda instant: instant.replace(microsecond=0)
)

Meaning = tuple[str, str, str, str, object]
"""team, account, principal, policy, end (with start and ticket)"""


@dataclass(frozen=True)
class Team:
    name: str
    accounts: dict[str, str]
    policies: list[str]
    entries: list[dict[str, Any]]
    """In the plural forms, with `kind` and `end` beside what a file says."""


@st.composite
def entries(draw: st.DrawFn, environments: list[str], policies: list[str]) -> dict[str, Any]:
    temporary = draw(st.booleans())
    kind = draw(st.sampled_from(TEMPORARY_KINDS if temporary else [*PRINCIPAL_KINDS.values()]))
    some: dict[str, Any] = {"min_size": 1, "max_size": 3, "unique": True}
    entry = {
        "kind": kind,
        "names": draw(st.lists(NAMES, **some)),
        "environments": draw(st.lists(st.sampled_from(environments), **some)),
        "policies": draw(st.lists(st.sampled_from(policies), **some)),
        "end": Permanent(),
        "starts_at": None,
    }
    if temporary:
        starts_at = draw(st.none() | INSTANTS)
        after = starts_at or datetime(2030, 1, 1, tzinfo=UTC)
        later = after + timedelta(seconds=draw(st.integers(1, 10**7)))
        entry["starts_at"] = starts_at
        entry["end"] = draw(
            st.sampled_from(
                [
                    Lasts(draw(st.integers(1, 5_000)) * 60),
                    EndsAt(later),
                    LastDay(after.date() + timedelta(days=draw(st.integers(0, 30)))),
                ]
            )
        )
    return entry


@st.composite
def teams(draw: st.DrawFn) -> list[Team]:
    found: list[Team] = []
    for number in range(draw(st.integers(1, 3))):
        names = draw(st.lists(LABELS, min_size=1, max_size=3, unique=True))
        accounts = {name: f"{number}{place:011}" for place, name in enumerate(names)}
        policies = [f"p{number}x{place}" for place in range(draw(st.integers(1, 3)))]
        wanted = draw(st.lists(entries(names, policies), max_size=4))
        found.append(Team(f"t{number}", accounts, policies, wanted))
    return found


def duration(seconds: int) -> str:
    return f"{seconds // 3600}h{seconds % 3600 // 60}m"


def as_written(entry: dict[str, Any], ticket: str, chance: random.Random) -> dict[str, Any]:
    """One of the many ways to write that entry."""
    facts: KindFacts = entry["kind"]
    names = [
        f"{name.upper() if chance.random() < 0.3 else name}"
        + ("@example.com" if facts.email_allowed and chance.random() < 0.5 else "")
        for name in entry["names"]
    ]
    written: dict[str, Any] = {}
    for singular, plural, values in (
        (facts.singular_key, facts.plural_key, names),
        ("environment", "environments", entry["environments"]),
        ("grant", "grants", entry["policies"]),
    ):
        if len(values) == 1 and chance.random() < 0.5:
            written[singular] = values[0]
        else:
            written[plural] = chance.sample(values, len(values))
    offset = timedelta(hours=chance.randint(-12, 14))
    if entry["starts_at"] is not None:
        written["starts_at"] = moved(entry["starts_at"], offset)
    match entry["end"]:
        case Lasts(seconds):
            written |= {"duration": duration(seconds), "ticket": ticket}
        case EndsAt(at):
            written["expires_at"] = moved(at, offset)
        case LastDay(day):
            written["expiration_date"] = day
    if chance.random() < 0.5:
        written["description"] = chance.choice(
            ["why: because", "# no comment", "zwei\nZeilen", "é"]
        )
    keys = list(written)
    chance.shuffle(keys)
    return {key: written[key] for key in keys}


def moved(instant: datetime, offset: timedelta) -> str:
    sign = "-" if offset < timedelta(0) else "+"
    hours = abs(offset) // timedelta(hours=1)
    return (instant + offset).strftime("%Y-%m-%dT%H:%M:%S") + f"{sign}{hours:02}:00"


def days_as_text(content: Any) -> Any:
    """Quoted days: PyYAML would write them with a tag."""
    if not isinstance(content, list):
        return content
    return [
        {
            key: value.isoformat() if isinstance(value, date) else value
            for key, value in item.items()
        }
        for item in content
    ]


def dumped(said: dict[str, Any], quoted: bool, chance: random.Random) -> str:
    """`said` in one of YAML's many forms.

    PyYAML breaks a quoted text wrongly where a sign that it escapes meets the width; what it does
    not read back itself is written on long lines.
    """
    form: dict[str, Any] = {
        "default_flow_style": chance.choice([True, False, None]),
        "default_style": '"' if quoted else None,
        "allow_unicode": chance.random() < 0.5,
        "indent": chance.randint(2, 6),
        "sort_keys": False,
    }
    text = str(yaml.safe_dump(said, width=chance.choice([20, 80, 10_000]), **form))
    if yaml.safe_load(text) != said:
        text = str(yaml.safe_dump(said, width=10_000, **form))
    return text


def files_of(declared: list[Team], chance: random.Random) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for team in declared:
        said: dict[str, Any] = {
            "aws-accounts": team.accounts,
            "aws-policies": {
                name: {"managed_policies": ["arn:aws:iam::aws:policy/A"]} for name in team.policies
            },
        }
        order = list(enumerate(team.entries))
        chance.shuffle(order)
        for number, entry in order:
            folder = "permanent-access" if entry["end"] == Permanent() else "temporary-access"
            written = as_written(entry, f"T-{number}", chance)
            said.setdefault(folder, []).append(written)
        for folder, content in said.items():
            quoted = folder != "aws-accounts" and chance.random() < 0.3
            text = dumped({folder: days_as_text(content) if quoted else content}, quoted, chance)
            suffix = chance.choice(["yaml", "yml"])
            files[f"{folder}/{team.name}.{suffix}"] = text.encode()
    keys = list(files)
    chance.shuffle(keys)
    return {key: files[key] for key in keys}


def meanings(declared: list[Team]) -> set[Meaning]:
    found: set[Meaning] = set()
    for team in declared:
        for number, entry in enumerate(team.entries):
            ticket = f"T-{number}" if isinstance(entry["end"], Lasts) else None
            for name in entry["names"]:
                for environment in entry["environments"]:
                    for policy in entry["policies"]:
                        found.add(
                            (
                                team.name,
                                team.accounts[environment],
                                f"{entry['kind'].kind.value}/{name}",
                                policy,
                                (entry["end"], entry["starts_at"], ticket),
                            )
                        )
    return found


def meaning(grant: DeclaredGrant) -> Meaning:
    when = (grant.end, grant.starts_at, grant.ticket)
    return grant.team, grant.account, grant.principal.key, grant.policy, when


@settings(max_examples=120, deadline=None)
@given(teams(), st.randoms(use_true_random=False))
def test_a_directory_reads_back_to_what_it_means(
    declared: list[Team], chance: random.Random
) -> None:
    result = read(files_of(declared, chance))
    assert result.problems == ()
    assert result.manifest is not None
    grants = result.manifest.grants
    assert {meaning(grant) for grant in grants} == meanings(declared)
    assert len({grant.id for grant in grants}) == len(grants) == len(meanings(declared))


@settings(max_examples=80, deadline=None)
@given(teams(), st.randoms(use_true_random=False))
def test_form_and_order_change_no_id_and_no_meaning(
    declared: list[Team], chance: random.Random
) -> None:
    by_id: list[dict[str, Meaning]] = []
    for _ in range(2):
        manifest = read(files_of(declared, chance)).manifest
        assert manifest is not None
        by_id.append({grant.id: meaning(grant) for grant in manifest.grants})
    assert by_id[0] == by_id[1]


@settings(max_examples=80, deadline=None)
@given(teams(), st.randoms(use_true_random=False))
def test_every_source_is_a_line_that_names_the_principal(
    declared: list[Team], chance: random.Random
) -> None:
    files = files_of(declared, chance)
    manifest = read(files).manifest
    assert manifest is not None
    for grant in manifest.grants:
        for source in grant.sources:
            line = files[source.path].decode().split("\n")[source.line - 1]
            assert (
                line[source.column - 1 :]
                .lstrip("\"'")
                .lower()
                .startswith(grant.principal.name.lower())
            )
        assert set(grant.sources) <= set(grant.deciding)


@settings(max_examples=200, deadline=None)
@given(st.dates(date(2000, 1, 1), date(2999, 12, 30)), st.sampled_from(sorted({
    "UTC", "Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Pacific/Apia", "Asia/Beirut",
    "Africa/Cairo", "Asia/Amman", "Australia/Lord_Howe", "America/Scoresbysund", "Asia/Gaza",
})))  # fmt: skip
def test_a_day_ends_exactly_where_the_next_begins(day: date, zone: str) -> None:
    from zoneinfo import ZoneInfo

    from ledger.manifest.scalars import day_end

    end = day_end(day, zone)
    assert end.astimezone(ZoneInfo(zone)).date() > day
    assert (end - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() <= day
    assert day_end(day + timedelta(days=1), zone) >= end
