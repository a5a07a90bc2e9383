"""Rows about time: every operator of dates, lists of them, spellings, and copies with a start."""

from tests.oracles.cases import NEVER
from tests.oracles.rows import ALWAYS, ENDS, NO_MICROSECOND, allow, at, on, row

DATES = [
    row("date", "none stands", ALWAYS, ENDS, allow()),
    row("date", "an earlier end stands", "AA...", "AA...", at("DateLessThan", "<E-1>")),
    row("date", "a later end stands", "AAAA.", ENDS, at("DateLessThan", "<E+1>")),
    row("date", "the same end stands", ENDS, ENDS, at("DateLessThan", "<E>")),
    row("date", "an end in another zone", "AA...", "AA...", at("DateLessThan", "<E-1:offset>")),
    row(
        "date",
        "an end in seconds since 1970",
        "AA...",
        "AA...",
        at("DateLessThan", "<E-1:epoch>"),
        source_not_by_simulate="it takes seconds since 1970 for milliseconds",
    ),
    row(
        "date",
        "DateLessThanEquals",
        "AAAA.",
        ENDS,
        at("DateLessThanEquals", "<E>"),
        not_by_ministack=NO_MICROSECOND,
    ),
    row("date", "DateLessThanEquals, earlier", "AA...", "AA...", at("DateLessThanEquals", "<E-1>")),
    row("date", "DateGreaterThan", "..AAA", "..A..", at("DateGreaterThan", "<E-1>")),
    row("date", "DateGreaterThan, later", "....A", NEVER, at("DateGreaterThan", "<E+1>")),
    row("date", "DateGreaterThanEquals", "..AAA", "..A..", at("DateGreaterThanEquals", "<E-1>")),
    row(
        "date",
        "DateEquals the end",
        "...A.",
        NEVER,
        at("DateEquals", "<E>"),
        not_by_ministack=NO_MICROSECOND,
    ),
    row(
        "date",
        "DateNotEquals the end",
        "AAA.A",
        ENDS,
        at("DateNotEquals", "<E>"),
        not_by_ministack=NO_MICROSECOND,
    ),
    row("date", "DateLessThanIfExists", "AA...", "AA...", at("DateLessThanIfExists", "<E-1>")),
    row(
        "date",
        "ForAnyValue:DateLessThan",
        "AA...",
        "AA...",
        at("ForAnyValue:DateLessThan", "<E-1>"),
    ),
    row(
        "date",
        "ForAllValues:DateGreaterThan",
        "..AAA",
        "..A..",
        at("ForAllValues:DateGreaterThan", "<E-1>"),
    ),
    row(
        "date",
        "a window stands",
        "..AA.",
        "..A..",
        allow(
            Condition={
                "DateGreaterThan": {"aws:CurrentTime": "<E-1>"},
                "DateLessThan": {"aws:CurrentTime": "<E+1>"},
            }
        ),
    ),
    row(
        "date",
        "another key stands under the operator",
        "AA...",
        "AA...",
        allow(
            Condition={"DateLessThan": {"aws:CurrentTime": "<E+1>", "aws:EpochTime": "<E-1:epoch>"}}
        ),
    ),
    row(
        "date",
        "only another key stands under the operator",
        "AAAA.",
        ENDS,
        at("DateLessThan", "<E+1:epoch>", key="aws:EpochTime"),
    ),
    row(
        "date",
        "a token's age that a key of long life has not",
        NEVER,
        NEVER,
        at("DateLessThan", "<E+9>", key="aws:TokenIssueTime"),
    ),
    row(
        "date",
        "a token's age, if there is one",
        ALWAYS,
        ENDS,
        at("DateLessThanIfExists", "<E+9>", key="aws:TokenIssueTime"),
    ),
    row(
        "date",
        "one statement ends early, its like does not",
        ALWAYS,
        ENDS,
        at("DateLessThan", "<E-1>"),
        allow(),
    ),
    row(
        "epoch",
        "NumericLessThan",
        "AA...",
        "AA...",
        at("NumericLessThan", "<E-1:epoch>", key="aws:EpochTime"),
    ),
    row(
        "epoch",
        "NumericGreaterThanEquals",
        "..AAA",
        "..A..",
        at("NumericGreaterThanEquals", "<E-1:epoch>", key="aws:EpochTime"),
    ),
]

DATE_LISTS = [
    row("list", "an earlier and a later end", "AAAA.", ENDS, at("DateLessThan", "<E-1>", "<E+1>")),
    row("list", "two earlier ends", "AA...", "AA...", at("DateLessThan", "<E-4>", "<E-1>")),
    row("list", "two later ends", "AAAA.", ENDS, at("DateLessThan", "<E+1>", "<E+1:offset>")),
    row(
        "list",
        "a list of one",
        "AA...",
        "AA...",
        allow(Condition={"DateLessThan": {"aws:CurrentTime": ["<E-1>"]}}),
    ),
    row(
        "list",
        "two starts, one long ago",
        ALWAYS,
        ".AA..",
        at("DateGreaterThanEquals", "<E-4>", "<E-1>"),
        starts=True,
    ),
]

SPELLINGS = [
    row(
        "key case", "a later end", "AAAA.", ENDS, at("DateLessThan", "<E+1>", key="AWS:CURRENTTIME")
    ),
    row(
        "key case",
        "an earlier end",
        "AA...",
        "AA...",
        at("DateLessThan", "<E-1>", key="aws:currenttime"),
    ),
    row(
        "key case",
        "a list of ends",
        "AAAA.",
        ENDS,
        at("DateLessThan", "<E-1>", "<E+1>", key="AWS:CurrentTime"),
    ),
    row(
        "key case",
        "a start",
        "..AAA",
        "..A..",
        at("DateGreaterThanEquals", "<E-1>", key="AWS:currentTIME"),
        starts=True,
    ),
    row(
        "key case",
        "another key",
        ALWAYS,
        ENDS,
        on("StringEquals", "AWS:REQUESTEDREGION", "us-east-1"),
    ),
    row("operator case", "a later end", "AAAA.", ENDS, at("datelessthan", "<E+1>")),
    row("operator case", "an earlier end", "AA...", "AA...", at("DATELESSTHAN", "<E-1>")),
    row(
        "operator case",
        "a start",
        "..AAA",
        "..A..",
        at("dategreaterthanequals", "<E-1>"),
        starts=True,
    ),
    row(
        "operator case",
        "twice, in two spellings",
        "AA...",
        NEVER,
        allow(
            Condition={
                "DateLessThan": {"aws:CurrentTime": "<E+1>"},
                "datelessthan": {"aws:CurrentTime": "<E-1>"},
            }
        ),
        refused="two spellings",
    ),
    row("action case", "as IAM does not mind it", ALWAYS, ENDS, allow("S3:GETobject")),
    row(
        "resource case",
        "as IAM minds it",
        NEVER,
        NEVER,
        allow(Resource="arn:aws:s3:::ledger/Report.txt"),
    ),
]

STARTS = [
    row("start", "none stands", ALWAYS, ".AA..", allow(), starts=True),
    row(
        "start",
        "a later one stands",
        "..AAA",
        "..A..",
        at("DateGreaterThanEquals", "<E-1>"),
        starts=True,
    ),
    row(
        "start",
        "an earlier one stands",
        ALWAYS,
        ".AA..",
        at("DateGreaterThanEquals", "<E-4>"),
        starts=True,
    ),
    row("start", "an early end stands", "AA...", ".A...", at("DateLessThan", "<E-1>"), starts=True),
    row(
        "start",
        "NotAction",
        ALWAYS,
        ".AA..",
        {"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"},
        starts=True,
    ),
    row(
        "start",
        "another key stands under the operator",
        "..AAA",
        "..A..",
        at("DateGreaterThanEquals", "<E-1:epoch>", key="aws:EpochTime"),
        starts=True,
    ),
]
