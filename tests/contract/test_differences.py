"""The list of differences is of promises that are made, and says what AWS documents."""

from tests.contract import test_aws_account
from tests.contract.differences import DIFFERENCES, SERVERS, difference


def test_every_difference_is_of_a_promise_and_says_what_aws_documents() -> None:
    for listed in DIFFERENCES:
        assert hasattr(test_aws_account, listed.promise), listed.promise
        assert listed.documented
        assert listed.servers
        assert all(listed.servers.values())
        assert listed.servers.keys() <= set(SERVERS)


def test_a_difference_is_found_by_its_promise_its_server_and_its_parameters() -> None:
    promise = "test_a_statement_that_aws_would_not_take_is_not_taken"
    assert difference(promise, "moto", f"{promise}[moto-a principal]") is not None
    assert difference(promise, "moto", f"{promise}[moto-no resource]") is None
    assert difference(promise, "fake", f"{promise}[fake-a principal]") is None
