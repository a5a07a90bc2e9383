"""IAM documents as texts, put together by hand."""

import json
from typing import Any


def text(*statements: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


def deny(*actions: str) -> dict[str, Any]:
    return {**allow(*actions), "Effect": "Deny"}


def many(count: int, service: str = "s3") -> dict[str, Any]:
    """A statement of so many actions, 14 characters each in a document."""
    return allow(*(f"{service}:Get{number:05}" for number in range(count)))


def long(count: int, service: str = "s3") -> dict[str, Any]:
    """A statement of so many actions, some 140 characters each: cheaper than many short ones."""
    return allow(*(f"{service}:{'x' * 130}{number:03}" for number in range(count)))
