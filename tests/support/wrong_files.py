"""Files that the parser and the schemas must both refuse, and where: what an editor can mark.

Invariant: in each one line ends in `# here`, and that is where both find the fault.
"""

from dataclasses import dataclass

HERE = "# here"


@dataclass(frozen=True, slots=True)
class Wrong:
    folder: str
    """`settings`: the settings file."""
    text: str

    @property
    def path(self) -> str:
        return "iam-ledger.yaml" if self.folder == "settings" else f"{self.folder}/pay.yaml"

    @property
    def line(self) -> int:
        """1-based."""
        (found,) = (n for n, line in enumerate(self.text.splitlines(), 1) if line.endswith(HERE))
        return found


def _accounts(*lines: str) -> Wrong:
    return Wrong("aws-accounts", "\n".join(["aws-accounts:", *lines]) + "\n")


def _policy(*lines: str) -> Wrong:
    head = ["aws-policies:", "  dev.read-only:", "    managed_policies: []", "  dev.break-glass:"]
    return Wrong("aws-policies", "\n".join([*head, *(f"    {line}" for line in lines)]) + "\n")


def _statement(*lines: str) -> Wrong:
    head, *rest = lines
    return _policy("custom_statements:", f"  - {head}", *(f"    {line}" for line in rest))


def _entry(folder: str, *lines: str) -> Wrong:
    head, *rest = lines
    text = [f"{folder}:", f"  - {head}", *(f"    {line}" for line in rest)]
    return Wrong(folder, "\n".join(text) + "\n")


def _settings(*lines: str) -> Wrong:
    return Wrong("settings", "\n".join(["settings:", *(f"  {line}" for line in lines)]) + "\n")


TEMPORARY, PERMANENT = "temporary-access", "permanent-access"
WHO = ("user: ana@example.com", "environment: prod", "grant: dev.break-glass")
ALL = ("effect: Allow", "actions: ['s3:GetObject']", "resources: ['*']")

WRONG: dict[str, Wrong] = {
    "another top-level key": Wrong("aws-accounts", "accounts:  # here\n  prod: '222222222222'\n"),
    "a list of accounts": Wrong("aws-accounts", "aws-accounts:\n  - prod  # here\n"),
    "an account without quotes": _accounts("  prod: 222222222222  # here"),
    "an account of 11 digits": _accounts("  prod: '22222222222'  # here"),
    "an account without its id": _accounts("  prod:  # here", "    deployer_role: Deployer"),
    "an unknown key of an account": _accounts(
        "  prod:", "    id: '222222222222'", "    region: eu-west-1  # here"
    ),
    "an external id of one sign": _accounts(
        "  prod:", "    id: '222222222222'", "    external_id: x  # here"
    ),
    "an environment with a comma": _accounts("  'a,b': '222222222222'  # here"),
    "a policy that is a text": Wrong("aws-policies", "aws-policies:\n  dev: all  # here\n"),
    "a policy without content": Wrong(
        "aws-policies", "aws-policies:\n  dev:  # here\n    description: nothing\n"
    ),
    "an unknown key of a policy": _policy("managed_policies: []", "statements: []  # here"),
    "a customer's policy": _policy(
        "managed_policies: ['arn:aws:iam::222222222222:policy/own']  # here"
    ),
    "a maximum that is no duration": _policy(
        "max_duration: 8 hours  # here", "managed_policies: []"
    ),
    "a maximum with minutes first": _policy("max_duration: 30m2h  # here", "managed_policies: []"),
    "an unknown enforcement": _policy("enforcement: lambda  # here", "managed_policies: []"),
    "require_mfa that is a list": _policy("require_mfa: [true]  # here", "managed_policies: []"),
    "a bare yes to what is dangerous": _policy(
        "allow_dangerous: true  # here", "managed_policies: []"
    ),
    "a reason as long as a page": _policy(
        f"allow_dangerous: {'because ' * 40}  # here", "managed_policies: []"
    ),
    "an effect in lower case": _statement("effect: allow  # here", *ALL[1:]),
    "no effect": _statement(f"{ALL[1]}  # here", ALL[2]),
    "no action": _statement("effect: Allow  # here", ALL[2]),
    "an action without its service": _statement(ALL[0], "actions: [GetObject]  # here", ALL[2]),
    "a resource that is no ARN": _statement(*ALL[:2], "resources: [artifacts]  # here"),
    "an unknown key of a statement": _statement(*ALL, "principal: '*'  # here"),
    "an sid with a space": _statement("sid: All of it  # here", *ALL),
    "an unknown operator": _statement(
        *ALL, "conditions:", "  StringEqual: {'aws:RequestedRegion': x}  # here"
    ),
    "an operator over nothing": _statement(*ALL, "conditions:", "  Bool: {}  # here"),
    "no principal": _entry(PERMANENT, "environment: prod  # here", "grant: dev.break-glass"),
    "no environment": _entry(PERMANENT, "user: ana  # here", "grant: dev.break-glass"),
    "no policy": _entry(PERMANENT, "user: ana  # here", "environment: prod"),
    "an end of what has none": _entry(PERMANENT, *WHO, "duration: 4h  # here"),
    "a list under a singular key": _entry(
        PERMANENT, "user: [ana, ben]  # here", "environment: prod", "grant: dev.break-glass"
    ),
    "a text under a plural key": _entry(
        PERMANENT, "users: ana  # here", "environment: prod", "grant: dev.break-glass"
    ),
    "an empty list": _entry(PERMANENT, *WHO[:2], "grants: []  # here"),
    "an address of a role": _entry(PERMANENT, "role: ci@example.com  # here", *WHO[1:]),
    "the ARN of a user among roles": _entry(
        PERMANENT, "roles: ['arn:aws:iam::222222222222:user/ana']  # here", *WHO[1:]
    ),
    "another partition": _entry(
        PERMANENT, "users: ['arn:aws-cn:iam::222222222222:user/ana']  # here", *WHO[1:]
    ),
    "a user with a space": _entry(PERMANENT, "user: ana lima  # here", *WHO[1:]),
    "a group for a time": _entry(TEMPORARY, "group: admins  # here", *WHO[1:], "duration: 4h"),
    "no end": _entry(TEMPORARY, f"{WHO[0]}  # here", *WHO[1:]),
    "a misspelt key": _entry(TEMPORARY, *WHO, "durration: 4h  # here", "duration: 4h"),
    "a duration in words": _entry(TEMPORARY, *WHO, "duration: 4 hours  # here"),
    "a duration that YAML takes for a number": _entry(TEMPORARY, *WHO, "duration: 240  # here"),
    "a day that is an instant": _entry(
        TEMPORARY, *WHO, "expiration_date: 2030-01-31T14:30Z  # here"
    ),
    "an instant without its zone": _entry(
        TEMPORARY, *WHO, "expires_at: 2030-01-31T14:30:00  # here"
    ),
    "a start that is a day": _entry(
        TEMPORARY, *WHO, "duration: 4h", "starts_at: 2030-01-31  # here"
    ),
    "an empty ticket": _entry(TEMPORARY, *WHO, "duration: 4h", "ticket: ''  # here"),
    "an unknown setting": _settings("max_days: 6  # here"),
    "a setting out of bounds": _settings("max_temporary_days: 5000  # here"),
    "a number in words": _settings("max_temporary_days: six  # here"),
    "an unknown choice": _settings("drift: fix  # here"),
    "a path without its slashes": _settings("policy_path: iam-ledger  # here"),
    "a time zone with a space": _settings("time_zone: Central European  # here"),
    "a brake of more than all": _settings("max_revocations: {percent: 120}  # here"),
    "an unknown brake": _settings("max_revocations: {number: 20}  # here"),
    "a pattern of no kind": _settings("protected_principals: ['robot/*']  # here"),
}
"""What a pull request's author gets wrong -> the file that says so."""

TWO_ENDS = _entry(TEMPORARY, *WHO, "duration: 4h", "expires_at: 2030-01-31T14:30Z  # here")
BOTH_FORMS = _entry(PERMANENT, *WHO[:2], "grant: dev.break-glass", "grants: [other]  # here")
BOTH_LISTS = _statement("effect: Allow", ALL[1], "not_actions: ['iam:*']  # here", ALL[2])
MARKED_ELSEWHERE: dict[str, Wrong] = {
    "two ends": TWO_ENDS,
    "both forms of a key": BOTH_FORMS,
    "actions and not_actions": BOTH_LISTS,
}
"""Refused by both too; a schema finds no key at fault there, but the entry as a whole."""
