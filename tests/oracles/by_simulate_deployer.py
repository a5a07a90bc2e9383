"""The deployer's documents, judged by iam-simulate, which knows AWS's own list of actions.

Beside ministack, which is asked over HTTP, this one refuses to judge an action that AWS does not
have, a resource that an action is not about, and a condition key that it does not take.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime

from ledger.model import Settings
from tests.oracles.cases import ACCOUNT, ALLOWED, DENIED, Call
from tests.oracles.simulate import Questions
from worker.iam.deployer import CALLS, Scope, account_document, hub_document

NOW = datetime(2026, 3, 2, tzinfo=UTC)
IAM = f"arn:aws:iam::{ACCOUNT}:"
OURS, FOREIGN = f"{IAM}policy/iam-ledger/payments-look", f"{IAM}policy/guard"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
DEPLOYER, HUB = f"{IAM}role/infra/Deployer", f"{IAM}role/iam-ledger-worker"
ON_ANY = ("GetAccountAuthorizationDetails", "GetAccountSummary")
"""What AWS lets be about nothing less than everything."""

SCOPE = Scope(
    policy_path=Settings().policy_path,
    managed=("user/people/*", "user/temp-?", "role/app", "role/iam-*", "role/infra/*", "group/*"),
    protected=("user/people/boss", "group/admins"),
    deployers=("infra/Deployer",),
    hub_role=HUB,
)


def attaching(verb: str, kind: str, who: str, policy: str) -> Call:
    arn = f"{IAM}{kind}/{who}"
    return Call(f"iam:{verb}{kind.capitalize()}Policy", arn, {"iam:PolicyARN": policy})


def made() -> list[Call]:
    """Every call of the table, on somebody or something within the scope."""
    people = {"user": "people/ana", "role": "app", "group": "devs"}
    found = []
    for call in CALLS:
        if call.on in ("hub", "free"):
            continue
        for kind in call.kinds:
            name, who = call.of(kind), people[kind.value]
            if call.on == "attachment":
                verb = name.partition(kind.value.capitalize())[0]
                found += [attaching(verb, kind.value, who, arn) for arn in (OURS, ADMIN)]
            else:
                found.append(Call(f"iam:{name}", f"{IAM}{kind.value}/{who}"))
        if not call.kinds:
            found.append(Call(f"iam:{call.name}", "*" if call.name in ON_ANY else OURS))
    return found


def refused() -> list[Call]:
    """The same calls about somebody or something that is out of scope, protected, or itself."""
    found = []
    for kind, strangers in {
        "user": ("stranger", "machines/ana", "peoples/ana", "people/boss", "temp-12"),
        "role": (
            "other",
            "infra/Deployer",
            "iam-ledger-worker",
            "aws-reserved/iam-x",
            "application",
        ),
        "group": ("admins", "ops/admins"),
    }.items():
        for who in strangers:
            found += [attaching(verb, kind, who, ADMIN) for verb in ("Attach", "Detach")]
            if kind != "group":
                whole = kind.capitalize()
                found += [
                    Call(f"iam:{v}{whole}Policy", f"{IAM}{kind}/{who}") for v in ("Put", "Delete")
                ]
    for kind, who in (("user", "people/ana"), ("role", "app"), ("group", "devs")):
        found += [attaching(verb, kind, who, FOREIGN) for verb in ("Attach", "Detach")]
    for call in CALLS:
        if call.on == "policy":
            found += [Call(f"iam:{call.name}", arn) for arn in (FOREIGN, f"{IAM}policy/iam-ledger")]
    return found


MORE = [
    Call("iam:PutGroupPolicy", f"{IAM}group/devs"),
    Call("iam:CreateUser", f"{IAM}user/people/new"),
    Call("iam:CreateAccessKey", f"{IAM}user/people/ana"),
    Call("iam:CreateLoginProfile", f"{IAM}user/people/ana"),
    Call("iam:DeleteUserPermissionsBoundary", f"{IAM}user/people/ana"),
    Call("iam:AddUserToGroup", f"{IAM}group/devs"),
    Call("iam:UpdateAssumeRolePolicy", f"{IAM}role/app"),
    Call("iam:SetDefaultPolicyVersion", OURS),
    Call("iam:UntagPolicy", OURS),
    Call("iam:PassRole", f"{IAM}role/app"),
    Call("sts:AssumeRole", f"{IAM}role/app"),
]


def verdicts(document: object, calls: list[Call]) -> str:
    questions = Questions()
    for call in calls:
        questions.add([json.dumps(document)], call, NOW)
    return questions.verdicts()


def wrong(calls: list[Call], found: str, expected: str) -> list[str]:
    return [str(call) for call, verdict in zip(calls, found, strict=True) if verdict != expected]


def test_every_call_that_is_made_is_one_of_aws_and_is_allowed() -> None:
    calls = made()
    assert {call.action for call in calls} == {
        f"iam:{name}"
        for call in CALLS
        if call.on not in ("hub", "free")
        for name in call.operations
    }
    assert wrong(calls, verdicts(account_document(SCOPE), calls), ALLOWED) == []


def test_nothing_out_of_scope_can_be_changed_nor_the_deployer_nor_the_hub() -> None:
    calls = [*refused(), *MORE]
    assert len(calls) + len(made()) > 100, "as docs/deployer-role.md says"
    assert wrong(calls, verdicts(account_document(SCOPE), calls), DENIED) == []


def test_a_document_that_allowed_more_would_be_found() -> None:
    document = account_document(SCOPE)
    loose = {
        **document,
        "Statement": [
            {each: part[each] for each in part if each != "Condition"}
            for part in document["Statement"]
            if part["Effect"] == "Allow"
        ],
    }
    calls = refused()
    allowed = {
        call.resource.removeprefix(IAM)
        for call, verdict in zip(calls, verdicts(loose, calls), strict=True)
        if verdict == ALLOWED
    }
    assert {"user/people/boss", "role/infra/Deployer", "role/iam-ledger-worker", "group/admins"} < (
        allowed
    )
    assert "user/people/ana" in allowed, "with a foreign policy"
    assert "user/stranger" not in allowed


def test_the_document_of_the_scripts_before_us_would_be_found() -> None:
    """Their README's own: it may make itself administrator."""
    attach = ["iam:AttachUserPolicy", "iam:AttachRolePolicy", "iam:PutUserPolicy"]
    seeds = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": attach, "Resource": "*"}],
    }
    itself = [attaching("Attach", "role", "infra/Deployer", ADMIN)]
    assert wrong(itself, verdicts(seeds, itself), DENIED) != []


def test_with_a_boundary_nobody_without_it_is_given_anything() -> None:
    ceiling = f"{IAM}policy/ceiling"
    bounded = replace(SCOPE, boundary="arn:aws:iam::*:policy/ceiling")
    put = "iam:PutUserPolicy", f"{IAM}user/people/ana"
    within = [
        Call(*put, {"iam:PermissionsBoundary": ceiling}),
        Call("iam:DeleteUserPolicy", put[1]),
        Call(
            "iam:AttachRolePolicy",
            f"{IAM}role/app",
            {"iam:PolicyARN": ADMIN, "iam:PermissionsBoundary": ceiling},
        ),
    ]
    without = [
        Call(*put),
        Call(*put, {"iam:PermissionsBoundary": FOREIGN}),
        attaching("Attach", "role", "app", ADMIN),
        attaching("Attach", "group", "devs", ADMIN),
    ]
    document = account_document(bounded)
    assert wrong(within, verdicts(document, within), ALLOWED) == []
    assert wrong(without, verdicts(document, without), DENIED) == []


def test_the_hub_enters_the_deployers_and_no_other_role() -> None:
    document = hub_document([DEPLOYER], ["iam-ledger"])
    said = {"sts:SourceIdentity": "iam-ledger"}
    calls = [Call("sts:AssumeRole", DEPLOYER), Call("sts:SetSourceIdentity", DEPLOYER, said)]
    assert wrong(calls, verdicts(document, calls), ALLOWED) == []
    others = [
        Call("sts:AssumeRole", f"{IAM}role/app"),
        Call("sts:SetSourceIdentity", DEPLOYER, {"sts:SourceIdentity": "ana"}),
        Call("iam:GetUser", f"{IAM}user/people/ana"),
    ]
    assert wrong(others, verdicts(document, others), DENIED) == []
