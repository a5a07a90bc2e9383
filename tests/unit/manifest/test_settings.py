"""`iam-ledger.yaml`."""

import pytest

from ledger.manifest import SETTINGS_FILE, Source
from ledger.model import Settings
from tests.unit.manifest.directory import accepted, reading, said


def test_without_a_file_all_settings_are_the_defaults() -> None:
    manifest = accepted({})
    assert manifest.settings == Settings()
    assert manifest.settings_source is None


def test_every_setting_is_read() -> None:
    manifest = accepted(
        {
            SETTINGS_FILE: """\
settings:
  deployer_role: /infra/Deployer
  policy_path: /iam/ledger/
  max_temporary_days: 14
  time_zone: Europe/Berlin
  user_names: email
  drift: repair
  dangerous: refuse
  max_revocations: {count: 0, percent: 100}
  managed_principals: ["user/*", "role/app/*"]
  protected_principals: ["user/break-glass-?"]
"""
        }
    )
    assert manifest.settings == Settings(
        deployer_role="infra/Deployer",
        policy_path="/iam/ledger/",
        max_temporary_days=14,
        time_zone="Europe/Berlin",
        user_names="email",
        drift="repair",
        dangerous="refuse",
        max_revocations_count=0,
        max_revocations_percent=100,
        managed_principals=("user/*", "role/app/*"),
        protected_principals=("user/break-glass-?",),
    )
    assert manifest.settings_source == Source(SETTINGS_FILE, 2, 3)


def test_every_account_has_the_settings_deployer_unless_it_says_otherwise() -> None:
    manifest = accepted({SETTINGS_FILE: "settings: {deployer_role: Other}\n"})
    assert {item.account.deployer_role for item in manifest.accounts} == {"Other"}


WRONG = {
    "shape": ("settings: [a]", "1:11: `settings` must be a mapping, not a list"),
    "top": ("- settings", "1:1: the file must begin with the key `settings:`"),
    "top-key": (
        "setting:\n  drift: warn",
        "1:1: key `setting` is not known here; did you mean `settings`?",
    ),
    "key": (
        "settings:\n  timezone: UTC",
        "2:3: key `timezone` is not known here; did you mean `time_zone`?",
    ),
    "far-key": (
        "settings:\n  database: x",
        "2:3: key `database` is not known here; known here: `deployer_role`, `policy_path`, "
        "`max_temporary_days`, `time_zone`, `user_names`, `drift`, `dangerous`, "
        "`max_revocations`, `managed_principals`, `protected_principals`",
    ),
    "empty": ("settings:\n  drift:", "2:3: `drift` is empty"),
    "list": ("settings:\n  drift: [warn]", "2:10: `drift` must be one text, not a list"),
    "drift-other": ("settings:\n  drift: off", "2:10: `drift` is off; write `warn` or `repair`"),
    "dangerous": (
        "settings:\n  dangerous: allow",
        "2:14: `dangerous` is allow; write `warn` or `refuse`",
    ),
    "user-names": (
        "settings:\n  user_names: Email",
        "2:15: `user_names` is Email; write `local-part` or `email`",
    ),
    "days": (
        "settings:\n  max_temporary_days: 0",
        "2:23: `max_temporary_days` is 0; it runs from 1 to 3650",
    ),
    "days-text": (
        "settings:\n  max_temporary_days: six",
        "2:23: `max_temporary_days` is six, which is no whole number",
    ),
    "zone": (
        "settings:\n  time_zone: Europe/Berln",
        "2:14: `time_zone` is Europe/Berln, which no list of time zones has; "
        "did you mean `Europe/Berlin`?",
    ),
    "zone-outside": (
        "settings:\n  time_zone: ../../etc/passwd",
        "2:14: `time_zone` is ../../etc/passwd, which no list of time zones has; "
        "write it as Europe/Berlin, or UTC",
    ),
    "path": (
        "settings:\n  policy_path: iam-ledger",
        "2:16: `policy_path` is iam-ledger, which is no path of its own in IAM; "
        "write it with a slash at both ends, as /iam-ledger/",
    ),
    "path-root": (
        "settings:\n  policy_path: /",
        "2:16: `policy_path` is /, which is no path of its own in IAM; "
        "write it with a slash at both ends, as /iam-ledger/",
    ),
    "role": (
        "settings:\n  deployer_role: arn:aws:iam::111111111111:role/X",
        "2:18: `arn:aws:iam::111111111111:role/X` names one account's role; "
        "write its name, or path/name: the account is that of each environment",
    ),
    "role-name": (
        "settings:\n  deployer_role: a b",
        "2:18: `a b` is no name of an IAM role; at most 64 letters, digits and +=,.@_-",
    ),
    "revocations": (
        "settings:\n  max_revocations: {count: -1, percent: 101, other: 1}",
        "2:28: `count` is -1, which is no whole number",
        "2:41: `percent` is 101; it runs from 0 to 100",
        "2:46: key `other` is not known here; known here: `count`, `percent`",
    ),
    "revocations-number": (
        "settings:\n  max_revocations: 20",
        "2:20: `max_revocations` must be a mapping, not a text",
    ),
    "patterns": (
        "settings:\n  managed_principals: [users/*, user, role/, 'role/[a]', role/x]",
        *(
            f"2:{column}: `{pattern}` (in `managed_principals`) is no pattern of principals; "
            "write user/…, role/…, group/…, with `*` for any characters"
            for column, pattern in ((24, "users/*"), (33, "user"), (39, "role/"), (46, "role/[a]"))
        ),
    ),
    "patterns-text": (
        "settings:\n  protected_principals: user/x",
        "2:25: `protected_principals` must be a list, not a text",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_told_with_its_place(case: tuple[str, ...]) -> None:
    text, *expected = case
    assert said({SETTINGS_FILE: text}) == [f"{SETTINGS_FILE}:{line}" for line in expected]


@pytest.mark.parametrize("zone", ["America", "localtime", "right/UTC", "posix/UTC", "utc "])
def test_a_zone_that_is_a_folder_or_the_machines_own_is_refused(zone: str) -> None:
    (found,) = said({SETTINGS_FILE: f"settings:\n  time_zone: '{zone}'"})
    assert found.startswith(
        f"{SETTINGS_FILE}:2:14: `time_zone` is {zone}, which no list of time zones has; "
    )


def test_settings_may_be_named_yml_but_not_twice() -> None:
    text = "settings: {time_zone: Europe/Berlin}\n"
    assert accepted({"iam-ledger.yml": text}).settings.time_zone == "Europe/Berlin"
    assert said({"iam-ledger.yml": text, SETTINGS_FILE: text}) == [
        "iam-ledger.yml:1:1: the settings stand in this file and in iam-ledger.yaml; "
        "keep one of them"
    ]


def test_a_settings_file_that_was_not_handed_over_is_no_absent_one() -> None:
    result = reading({}, folders=["iam-ledger.yml"])
    assert [problem.code for problem in result.problems] == ["nearly-ours"]
