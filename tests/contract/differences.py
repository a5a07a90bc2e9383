"""Where moto's server and ministack are not as AWS documents itself. The promises are in the tests.

A promise fails on whoever is listed here, in the listed way; `conftest` sees to it.
"""

from dataclasses import dataclass

SERVERS = ("moto", "ministack")


@dataclass(frozen=True, slots=True)
class Difference:
    """One promise that somebody's server does not keep."""

    promise: str
    """The test."""
    documented: str
    """What AWS does, and where it says so."""
    servers: dict[str, str]
    """By name: what it does instead."""
    shown: str
    """How the promise fails there: a pattern of what pytest says."""
    only: str = ""
    """Part of the test's parameters, where the others hold."""


QUOTAS = "IAM and STS quotas"
NONE = "DID NOT RAISE"

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "test_all_inline_policies_together_have_room_for_so_much",
        "2,048 / 5,120 / 10,240 characters over all inline policies of a user, group, role; "
        f"LimitExceeded ({QUOTAS})",
        dict.fromkeys(SERVERS, "keeps inline documents of any size"),
        NONE,
    ),
    Difference(
        "test_a_managed_policy_has_room_for_6144_characters",
        f"6,144 characters; LimitExceeded ({QUOTAS})",
        dict.fromkeys(SERVERS, "keeps managed documents of any size"),
        NONE,
    ),
    Difference(
        "test_the_eleventh_attachment_is_refused",
        f"10 a principal; LimitExceeded ({QUOTAS})",
        dict.fromkeys(SERVERS, "attaches any number of managed policies"),
        NONE,
    ),
    Difference(
        "test_a_policy_that_is_attached_stands",
        "DeleteConflict (API reference, DeletePolicy)",
        {"moto": "deletes it"},
        NONE,
    ),
    Difference(
        "test_a_policy_with_other_versions_stands",
        "DeleteConflict while there are versions beside the default (API reference, DeletePolicy)",
        dict.fromkeys(SERVERS, "deletes it with all its versions"),
        NONE,
    ),
    Difference(
        "test_a_percent_sign_comes_back_as_itself",
        "documents are URL-encoded by RFC 3986 (API reference, PolicyDetail, PolicyVersion)",
        {"moto": "sends those of two calls as they are, so that they are decoded once too often"},
        "100%",
    ),
    Difference(
        "test_an_older_version_of_a_source_keeps_its_own_text",
        "ListPolicyVersions and GetPolicyVersion know the older ones too",
        dict.fromkeys(SERVERS, "has one version of each of AWS's own policies"),
        r"NoSuchEntity|'v1', 'v1'",
    ),
    Difference(
        "test_a_policys_name_is_one_whatever_path_and_case",
        "EntityAlreadyExists: unique in an account whatever path and case (user guide, IAM names)",
        dict.fromkeys(SERVERS, "makes two of one name under two paths, or in two spellings"),
        "'done'",
    ),
    Difference(
        "test_what_is_no_policy_is_attached_to_nobody_and_is_missing",
        "NoSuchEntity (API reference, ListEntitiesForPolicy)",
        {"moto": "answers an empty list"},
        NONE,
    ),
    Difference(
        "test_a_policys_name_and_path_are_of_certain_signs_and_so_long",
        "[\\w+=,.@-]+ and at most 128 characters (API reference, CreatePolicy)",
        dict.fromkeys(SERVERS, "makes a policy of any name and path"),
        NONE,
    ),
    Difference(
        "test_a_statement_that_aws_would_not_take_is_not_taken",
        "MalformedPolicyDocument: identities' policies name no principal (user guide, grammar)",
        dict.fromkeys(SERVERS, "keeps it"),
        NONE,
        only="a principal",
    ),
    Difference(
        "test_a_statement_that_aws_would_not_take_is_not_taken",
        "MalformedPolicyDocument: letters and digits only (user guide, grammar, Sid)",
        dict.fromkeys(SERVERS, "keeps it"),
        NONE,
        only="a sid of other signs",
    ),
    Difference(
        "test_a_statement_that_aws_would_not_take_is_not_taken",
        "MalformedPolicyDocument: actions are prefaced by a vendor (user guide, grammar, Action)",
        {"ministack": "keeps it"},
        NONE,
        only="no vendor",
    ),
    Difference(
        "test_a_statement_that_aws_would_not_take_is_not_taken",
        "MalformedPolicyDocument: dates are ISO 8601 or seconds (user guide, condition operators)",
        {"ministack": "keeps it"},
        NONE,
        only="no date",
    ),
    Difference(
        "test_attaching_to_nobody_or_of_nothing_is_missing",
        "NoSuchEntity (API reference, AttachUserPolicy)",
        {"ministack": "attaches what does not exist"},
        NONE,
    ),
    Difference(
        "test_a_policy_has_fifty_tags_at_most",
        f"50 a policy; LimitExceeded ({QUOTAS})",
        {"ministack": "keeps any number of tags"},
        NONE,
    ),
    Difference(
        "test_a_role_that_does_not_exist_lets_nobody_in",
        "AccessDenied unless the role exists and trusts the caller (API reference, AssumeRole)",
        {"moto": "gives keys for any role"},
        NONE,
    ),
)


def difference(promise: str, server: str, test: str) -> Difference | None:
    """The listed one of `server`, for the test that is called `test` with its parameters."""
    for listed in DIFFERENCES:
        if listed.promise == promise and server in listed.servers and listed.only in test:
            return listed
    return None
