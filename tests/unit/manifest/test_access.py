"""The two access files: what an entry may say and what it means."""

from datetime import UTC, date, datetime

import pytest

from ledger.manifest import EndsAt, LastDay, Lasts, Permanent, Source
from ledger.model import PRINCIPAL_KINDS
from tests.unit.manifest.directory import PERMANENT, TEMPORARY, accepted, entry, said


def test_a_permanent_entry_is_every_principal_everywhere_with_every_policy() -> None:
    manifest = accepted(
        {
            PERMANENT: """\
permanent-access:
  - description: Everybody
    users: [ana@example.com, ben]
    roles: [ci]
    groups: [data-engineers]
    environments: [nonprod, prod]
    grants: [dev.read-only, dev.break-glass]
"""
        }
    )
    assert [
        (str(g.principal), g.environment, g.account, g.policy)
        for g in manifest.grants
        if g.policy == "dev.read-only"
    ] == [
        (principal, environment, account, "dev.read-only")
        for principal in ("user/ana", "user/ben", "role/ci", "group/data-engineers")
        for environment, account in (("nonprod", "111111111111"), ("prod", "222222222222"))
    ]
    assert len(manifest.grants) == 16
    first = manifest.grants[0]
    assert (first.team, first.end, first.starts_at) == ("pay", Permanent(), None)
    assert (first.description, first.ticket, first.end_source) == ("Everybody", None, None)
    assert first.sources == (Source(PERMANENT, 3, 13),)
    assert first.deciding == (
        Source(PERMANENT, 3, 13),
        Source(PERMANENT, 6, 20),
        Source(PERMANENT, 7, 14),
        *manifest.accounts[0].deciding,
    )
    assert first.ends_at(datetime(2030, 1, 1, tzinfo=UTC), "UTC") is None


def test_both_files_take_the_singular_and_the_plural_forms() -> None:
    singular = "{role: ci, environment: prod, grant: dev.read-only}"
    plural = "{roles: [ci], environments: [prod], grants: [dev.read-only]}"
    ids = [
        [grant.id for grant in accepted({PERMANENT: f"permanent-access: [{form}]"}).grants]
        for form in (singular, plural)
    ]
    assert ids[0] == ids[1]
    temporary = entry("users: [a, b]\nenvironments: [prod]\ngrants: [dev.read-only]")
    assert len(accepted({TEMPORARY: temporary}).grants) == 2


@pytest.mark.parametrize(
    ("lines", "end", "ends_at"),
    [
        ("duration: 1d2h", Lasts(93_600), "2030-01-02T02:00"),
        ("expires_at: 2030-01-01T10:30:15.9+01:00", EndsAt(datetime(2030, 1, 1, 9, 30, 15, 0, UTC)),
         "2030-01-01T09:30:15"),
        ("expiration_date: 2030-01-05", LastDay(date(2030, 1, 5)), "2030-01-05T23:00"),
        ("expiration_date: '2030-01-05'", LastDay(date(2030, 1, 5)), "2030-01-05T23:00"),
    ],
)  # fmt: skip
def test_each_of_the_three_ends_is_kept_as_it_was_written(
    lines: str, end: object, ends_at: str
) -> None:
    (grant,) = accepted({TEMPORARY: entry(lines)}).grants
    assert grant.end == end
    found = grant.ends_at(datetime(2030, 1, 1, tzinfo=UTC), "Europe/Berlin")
    assert found == datetime.fromisoformat(ends_at).replace(tzinfo=UTC)


def test_a_temporary_entry_keeps_start_ticket_and_every_deciding_line() -> None:
    text = entry("starts_at: 2029-12-31T23:00-01:00\nticket: OPS-1\nduration: 4h\ndescription: why")
    (grant,) = accepted({TEMPORARY: text}).grants
    assert grant.starts_at == datetime(2030, 1, 1, tzinfo=UTC)
    assert (grant.ticket, grant.description) == ("OPS-1", "why")
    assert grant.end_source == Source(TEMPORARY, 4, 15)
    assert sorted(source.line for source in grant.deciding if source.path == TEMPORARY) == [
        2,
        3,
        4,
        6,
        7,
        8,
    ]


MISSING = "temporary-access:\n  - {user: a, environment: prod, grant: dev.break-glass"
FORMS = "`users`, `roles` or `groups`"
WRONG = {
    "shape": (TEMPORARY, "temporary-access: {user: a}",
              "1:19: `temporary-access` must be a list, not a mapping"),
    "entry": (TEMPORARY, "temporary-access: [a]", "1:20: an entry must be a mapping, not a text"),
    "empty-entry": (TEMPORARY, "temporary-access: [{}]",
                    "1:20: the entry names no principal; add `users` or `roles`",
                    "1:20: the entry names no environment; add `environment` or `environments`",
                    "1:20: the entry names no policy; add `grant` or `grants`",
                    "1:20: the entry has no end; add `expiration_date`, `expires_at` or "
                    "`duration`"),
    "empty-permanent": (PERMANENT, "permanent-access: [{}]",
                        f"1:20: the entry names no principal; add {FORMS}",
                        "1:20: the entry names no environment; add `environment` or "
                        "`environments`",
                        "1:20: the entry names no policy; add `grant` or `grants`"),
    "wrong-file": (TEMPORARY, "permanent-access: []",
                   "1:1: key `permanent-access` is not known here; "
                   "known here: `temporary-access`"),
    "key": (TEMPORARY, entry("expires: 2030-01-01\nduration: 4h"),
            "2:5: key `expires` is not known here; did you mean `expires_at`?"),
    "window-in-permanent": (PERMANENT, "permanent-access:\n  - {user: a, environment: prod, "
                            "grant: dev.break-glass, duration: 4h, ticket: x}",
                            "2:58: key `duration` is not known in `permanent-access`; "
                            "it belongs to `temporary-access`",
                            "2:72: key `ticket` is not known in `permanent-access`; "
                            "it belongs to `temporary-access`"),
    "groups": (TEMPORARY, entry("groups: [x]\nuser: a"),
               "2:5: `groups` cannot have temporary access; "
               "name the people: an IAM group holds no single person's window"),
    "group": (TEMPORARY, entry("group: x\nuser: a"),
              "2:5: `group` cannot have temporary access; "
              "name the people: an IAM group holds no single person's window"),
    "both-forms": (TEMPORARY, entry("users: [a]\nuser: b"),
                   "3:5: `user` and `users` stand in one entry; write one of them"),
    "both-grants": (TEMPORARY, entry("grant: dev.break-glass\ngrants: [dev.read-only]"),
                    "3:5: `grant` and `grants` stand in one entry; write one of them"),
    "list-in-singular": (TEMPORARY, entry("user: [a, b]"),
                         "2:11: `user` must be one text, not a list; write `users`"),
    "mapping-in-singular": (TEMPORARY, entry("user: {a: b}"),
                            "2:11: `user` must be one text, not a mapping"),
    "text-in-plural": (TEMPORARY, entry("users: a"),
                       "2:12: `users` must be a list, not a text; write [a], or `user`"),
    "mapping-in-plural": (TEMPORARY, entry("users: {a: b}"),
                          "2:12: `users` must be a list, not a mapping"),
    "null-in-plural": (TEMPORARY, entry("users:"), "2:5: `users` must be a list, not empty"),
    "empty-plural": (TEMPORARY, entry("users: []"), "2:12: `users` is an empty list"),
    "null-user": (TEMPORARY, entry("user: null"), "2:11: `user` is empty"),
    "null-in-list": (TEMPORARY, entry("users: [a, ~]"), "2:16: `users` is empty"),
    "list-in-list": (TEMPORARY, entry("users: [[a]]"),
                     "2:13: `users` must be one text, not a list"),
    "two-ends": (TEMPORARY, entry("duration: 4h\nexpires_at: 2030-01-01T10:00Z"),
                 "3:5: `expires_at` and `duration` stand in one entry; write one of them"),
    "no-end": (TEMPORARY, MISSING + "}",
               "2:5: the entry has no end; add `expiration_date`, `expires_at` or `duration`"),
    "null-end": (TEMPORARY, MISSING + ", duration: }", "2:58: `duration` is empty"),
    "list-end": (TEMPORARY, MISSING + ", duration: [4h]}",
                 "2:68: `duration` must be one text, not a list"),
    "no-zone": (TEMPORARY, entry("expires_at: 2030-01-01T10:00"),
                "2:17: `expires_at` is 2030-01-01T10:00, which has no time zone; "
                "write 2030-01-01T10:00Z"),
    "date-for-instant": (TEMPORARY, entry("expires_at: 2030-01-01"),
                         "2:17: `expires_at` is 2030-01-01, which is no instant; "
                         "write a time and zone too, as 2030-01-01T14:30Z"),
    "instant-for-date": (TEMPORARY, entry("expiration_date: 2030-01-01T10:00Z"),
                         "2:22: `expiration_date` is 2030-01-01T10:00Z, which is no date; "
                         "for an instant use `expires_at`, or write the day alone"),
    "no-duration": (TEMPORARY, entry("duration: 4 hours"),
                    "2:15: `duration` is 4 hours, which is no duration; "
                    "write days, hours and minutes in this order, as 4h or 1d2h30m"),
    "start": (TEMPORARY, entry("starts_at: 2030-01-01T10:00"),
              "2:16: `starts_at` is 2030-01-01T10:00, which has no time zone; "
              "write 2030-01-01T10:00Z"),
    "start-at-end": (TEMPORARY, entry("starts_at: 2030-01-01T10:00Z\n"
                                      "expires_at: 2030-01-01T11:00+01:00"),
                     "2:16: `starts_at` is 2030-01-01T10:00Z, which is not before the end"),
    "start-after-day": (TEMPORARY, entry("starts_at: 2030-01-02T00:00Z\n"
                                         "expiration_date: 2030-01-01"),
                        "2:16: `starts_at` is 2030-01-02T00:00Z, which is not before the end"),
    "empty-ticket": (TEMPORARY, entry("ticket:"), "2:5: `ticket` is empty"),
    "blank-ticket": (TEMPORARY, entry("ticket: '  '"), "2:13: `ticket` is empty"),
    "long-ticket": (TEMPORARY, entry(f"ticket: {'x' * 257}"),
                    "2:13: `ticket` has 257 characters; at most 256 are kept"),
    "description": (TEMPORARY, entry("description: [a]"),
                    "2:18: `description` must be one text, not a list"),
    "unknown-environment": (TEMPORARY, entry("environments: [prod, nonprd]"),
                            "2:26: environment `nonprd` (in `environments`) is not in "
                            "aws-accounts; did you mean `nonprod`?"),
    "far-environment": (TEMPORARY, entry("environment: x"),
                        "2:18: environment `x` (in `environment`) is not in aws-accounts; "
                        "add it to aws-accounts/pay.yaml"),
    "unknown-policy": (TEMPORARY, entry("grants: [dev.breakglass]"),
                       "2:14: policy `dev.breakglass` (in `grants`) is not in aws-policies; "
                       "did you mean `dev.break-glass`?"),
    "policy-case": (TEMPORARY, entry("grant: DEV.BREAK-GLASS"),
                    "2:12: policy `DEV.BREAK-GLASS` (in `grant`) is not in aws-policies; "
                    "did you mean `dev.break-glass`?"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_entry_is_told_with_its_place(case: tuple[str, ...]) -> None:
    path, text, *expected = case
    assert said({path: text}) == [f"{path}:{line}" for line in expected]


def test_every_problem_of_every_entry_comes_in_one_run() -> None:
    text = entry("user: 'a b'\nenvironment: x\ngrant: y\nduration: z")
    found = said({TEMPORARY: text + text.partition("\n")[2], PERMANENT: "permanent-access: {}"})
    places = [line.split(": ")[0] for line in found]
    assert places == [
        f"{PERMANENT}:1:19",
        *(f"{TEMPORARY}:{line}" for line in ("2:11", "5:15", "6:11", "9:15")),
    ]


def test_an_empty_description_is_none() -> None:
    for text in ("description:", "description: ''", "description: ' '"):
        (grant,) = accepted({TEMPORARY: entry(text)}).grants
        assert grant.description is None


def test_the_keys_of_principals_are_those_of_the_model() -> None:
    for facts in PRINCIPAL_KINDS.values():
        text = f"permanent-access: [{{{facts.singular_key}: x, environment: prod, "
        (grant,) = accepted({PERMANENT: text + "grant: dev.read-only}]"}).grants
        assert grant.principal.kind is facts.kind


def test_a_file_that_expands_beyond_all_bounds_is_refused_before_it_does() -> None:
    users = ", ".join(f"u{i}" for i in range(1_000))
    entries = f"  - users: &all [{users}]\n    environments: &both [prod, nonprod]\n"
    entries += "    grants: &some [dev.read-only, dev.break-glass]\n"
    entries += "  - {users: *all, environments: *both, grants: *some}\n" * 62
    assert said({PERMANENT: f"permanent-access:\n{entries}"}) == [
        f"{PERMANENT}:66:5: with this entry the file expands to more than 250,000 grants; "
        "write less, or several files"
    ]
