"""The deployer's and the hub's documents as what makes the roles: CloudFormation, Terraform.

Pure. A deployer's policy stands inside its role, and not beside it: a policy of its own could one
day stand where the deployer may write policies, and then it could change itself.
"""

import json
from dataclasses import dataclass, replace

from worker.iam.deployer import Json, Scope, account_document, trust_document

POLICY_NAME = "iam-ledger"

HUB_ROLE_PATTERN = r"^arn:aws:iam::[0-9]{12}:role/[\w+=,.@/-]+$"

SESSION_MAX_S = 3_600
"""What the worker asks for; the hub's own keys are a role's, so that AWS gives no more."""

UNTRIED = "# Not tried: no Terraform has read this here. Read what `terraform plan` says of it.\n"


@dataclass(frozen=True, slots=True)
class Deployer:
    """One deployer's role, and who may become it."""

    role: str
    """Its name, or path/name."""
    scope: Scope
    read_only: bool = False
    hub_role: str | None = None
    """ARN; None: to be given to the template."""
    external_id: str | None = None
    source_identities: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.role.rpartition("/")[2]

    @property
    def path(self) -> str:
        return f"/{self.role.rpartition('/')[0]}/".replace("//", "/")


def account_stack(deployer: Deployer) -> Json:
    """A template for a StackSet: one role an account, by one name everywhere."""
    hub: Json = {"Type": "String", "AllowedPattern": HUB_ROLE_PATTERN}
    hub["Description"] = "ARN of the role that the worker runs as."
    if deployer.hub_role is not None:
        hub["Default"] = deployer.hub_role
    external: Json = {"Type": "String", "Default": deployer.external_id or ""}
    external["Description"] = "What the worker must send as external id; empty where it sends none."
    trust = trust_document({"Ref": "HubRoleArn"}, {"Ref": "ExternalId"}, deployer.source_identities)
    enter = trust["Statement"][0]
    none = {"Ref": "AWS::NoValue"}
    enter["Condition"] = {"Fn::If": ["HasExternalId", enter["Condition"], none]}
    scope = replace(deployer.scope, hub_role={"Ref": "HubRoleArn"})
    document = account_document(scope, read_only=deployer.read_only)
    properties = {
        "RoleName": deployer.name,
        "Path": deployer.path,
        "MaxSessionDuration": SESSION_MAX_S,
        "AssumeRolePolicyDocument": trust,
        "Policies": [{"PolicyName": POLICY_NAME, "PolicyDocument": document}],
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "iam-ledger: the role that its worker takes in this account.",
        "Parameters": {"HubRoleArn": hub, "ExternalId": external},
        "Conditions": {"HasExternalId": {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExternalId"}, ""]}]}},
        "Resources": {"Deployer": {"Type": "AWS::IAM::Role", "Properties": properties}},
        "Outputs": {"DeployerArn": {"Value": {"Fn::GetAtt": ["Deployer", "Arn"]}}},
    }


def hub_stack(document: Json) -> Json:
    """A template that gives the worker's own role, which stands already, what it needs."""
    role = {"Type": "String", "Description": "Name of the role that the worker runs as."}
    properties = {
        "PolicyName": POLICY_NAME,
        "RoleName": {"Ref": "HubRoleName"},
        "PolicyDocument": document,
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "iam-ledger: what its worker may do in its own account.",
        "Parameters": {"HubRoleName": role},
        "Resources": {"EnterAccounts": {"Type": "AWS::IAM::RolePolicy", "Properties": properties}},
    }


def account_terraform(deployer: Deployer) -> str:
    """The same role for Terraform, in whose strings `${...}` is a value of its own."""
    hub = "${var.hub_role_arn}"
    trust = trust_document(hub, deployer.external_id, deployer.source_identities)
    document = account_document(replace(deployer.scope, hub_role=hub), read_only=deployer.read_only)
    default = "" if deployer.hub_role is None else f"\n  default = {_text(deployer.hub_role)}"
    return f"""{UNTRIED}
variable "hub_role_arn" {{
  type    = string{default}
}}

resource "aws_iam_role" "iam_ledger_deployer" {{
  name                 = {_text(deployer.name)}
  path                 = {_text(deployer.path)}
  max_session_duration = {SESSION_MAX_S}
  assume_role_policy   = {_encoded(trust)}
}}

resource "aws_iam_role_policy" "iam_ledger_deployer" {{
  name   = {_text(POLICY_NAME)}
  role   = aws_iam_role.iam_ledger_deployer.id
  policy = {_encoded(document)}
}}"""


def hub_terraform(document: Json) -> str:
    """The worker's own role has it from here."""
    return f"""{UNTRIED}
variable "hub_role_name" {{
  type = string
}}

resource "aws_iam_role_policy" "iam_ledger_hub" {{
  name   = {_text(POLICY_NAME)}
  role   = var.hub_role_name
  policy = {_encoded(document)}
}}"""


def _encoded(document: Json) -> str:
    inner = json.dumps(document, indent=2).replace("\n", "\n  ")
    return f"jsonencode({inner})"


def _text(words: str) -> str:
    return json.dumps(words)
