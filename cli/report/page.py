"""The page: its parts in the order in which they are read.

Pure. Invariant: it fetches nothing, runs nothing, and stands alone; a part that has nothing to say
says so, since what was looked for and not found is an answer too.
"""

import base64
import hashlib
from importlib.resources import files

from cli import answers
from cli.instants import shown
from cli.report import tables
from cli.report.facts import EXPLAINED_MAX, Entry, Facts
from cli.report.markup import Child, Markup, document, element, joined, style_sheet, words
from cli.report.timeline import definitions
from ledger.answer import At

GENERATOR = "iam-ledger"

NOT_IN_IT = (
    "access that this ledger did not grant",
    "resource policies, permissions boundaries and service control policies",
    "the root user",
    "permission sets of IAM Identity Center",
    "who may assume a role that is listed",
    "who is in a group that is listed",
    "sessions, keys and resources that were made with access and outlive it",
    "who else can write the ledger's database, or merge what it is fed with",
)

Part = tuple[str, str, Child]
"""Its name in the address, its heading, and what stands under it."""


def page_of(facts: Facts, version: str) -> str:
    """The whole page as HTML."""
    parts = [*_parts(facts), ("made", "How this report was made", _made(facts, version))]
    css = (files("cli.report") / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="generator", content=f"{GENERATOR} {version}"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{_title(facts)} {_spoken(facts)}"),
        style_sheet(css),
    )
    instant = facts.question.when.instant if isinstance(facts.question.when, At) else None
    body = element(
        "body",
        element("a", "Skip to who has access", href="#access", class_="skip"),
        definitions(facts.question.period, instant),
        element("header", _heading(facts), _numbers(facts), _contents(parts)),
        element("main", [_part(*part) for part in parts]),
    )
    return document(element("html", head, body, lang="en"))


def _part(name: str, title: str, content: Child) -> Markup:
    heading = element("h2", title, id=f"{name}-heading")
    return element(
        "section", heading, content, id=name, tabindex=-1, aria_labelledby=f"{name}-heading"
    )


# --- above the parts --------------------------------------------------------------------------


def _title(facts: Facts) -> str:
    if facts.status is not None and isinstance(facts.question.when, At):
        return "Who has access"
    return "Who had access"


def _spoken(facts: Facts) -> str:
    question = facts.question
    return answers.spoken_of(question.when, question.as_known_at, facts.position)


def _heading(facts: Facts) -> Markup:
    asked = facts.question.asked
    named = [
        joined(f"{name} ", element("b", words(value)))
        for name in ("account", "environment", "team", "principal", "policy")
        if (value := getattr(asked, name)) is not None
    ]
    only = [joined(", " if number else "", each) for number, each in enumerate(named)]
    unknown = [
        element("p", f"No grant in this ledger ever named {each}: is it spelt so?", class_="alert")
        for each in facts.unknown
    ]
    return joined(
        element("h1", _title(facts)),
        element("p", _spoken(facts), class_="spoken"),
        element("p", "Only ", *only) if only else None,
        unknown,
    )


def _numbers(facts: Facts) -> Markup:
    access = facts.access
    people = {one.row.grant.principal.key for one in access}
    accounts = {one.row.grant.account for one in access}
    numbers = [
        ("grants", len(access), ""),
        ("users, roles and groups", len(people), ""),
        ("accounts", len(accounts), ""),
        ("confirmed by AWS", len(facts.in_state("confirmed")), ""),
        ("not yet confirmed", len(facts.in_state("declared")), ""),
        (f"ending in {tables.spoken(facts.question.within)}", len(facts.expiring), ""),
        ("longer than meant", len(facts.late), "bad"),
        ("stuck", len(facts.in_state("stuck")), "bad"),
        ("ended only by the worker", len(_by_daemon(facts)), ""),
    ]
    if facts.status is not None:
        numbers.insert(3, ("exposed now", len(_exposed(facts)), "bad"))
    tiles = [
        element(
            "div",
            element("dt", name),
            element("dd", f"{number:,}", class_=how if number else None),
        )
        for name, number, how in numbers
    ]
    return element("dl", tiles, class_="numbers")


def _contents(parts: list[Part]) -> Markup:
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in parts]
    return element("nav", element("ol", links), aria_label="Contents")


# --- the parts --------------------------------------------------------------------------------


def _parts(facts: Facts) -> list[Part]:
    question = facts.question
    span = tables.spoken(question.within)
    at = isinstance(question.when, At)
    parts: list[Part] = [("access", _access_title(facts), _access(facts))]
    if at:
        parts.append(("around", "Who had it before, or will have it", _around(facts)))
    parts += [
        ("ending", f"What ends within {span}", _ending(facts)),
        ("late", "Longer than meant", _late(facts)),
        ("trouble", "Stuck, refused or missing", _trouble(facts)),
        ("daemon", "Ended only by the worker", _daemon(facts)),
        ("words", "Left standing, or settled by a person's word", _by_word(facts)),
        ("drift", "Changed by somebody else", _drift(facts)),
    ]
    if facts.status is not None:
        parts.insert(1, ("exposed", "Exposed now", _exposed_part(facts)))
        parts.append(("accounts", "How the accounts are kept", _accounts(facts)))
    items = [element("li", each) for each in NOT_IN_IT]
    parts.append(("limits", "What is not in this report", element("ul", items)))
    return parts


def _access_title(facts: Facts) -> str:
    if not isinstance(facts.question.when, At):
        return "Who had access in this time"
    return "Who has access" if facts.status is not None else "Who had access then"


def _access(facts: Facts) -> Child:
    if not facts.access:
        return _nothing(f"Nobody has access {_spoken(facts)}.")
    period = facts.question.period
    about = element(
        "p",
        f"Bars reach from {shown(period.start)} to {shown(period.end)}; all times are UTC. Each "
        "grant opens to the events behind it."
        if facts.explained
        else f"Bars reach from {shown(period.start)} to {shown(period.end)}; all times are UTC. "
        f"With more than {EXPLAINED_MAX:,} grants the events behind each are left out; "
        "`iam-ledger history` and `export` have them.",
    )
    return joined(about, tables.legend(), tables.by_account(facts, facts.access, "who has access"))


def _around(facts: Facts) -> Child:
    if not facts.around:
        return _nothing("Nobody else, in the time that the bars show.")
    return tables.by_account(facts, facts.around, "at another time")


def _ending(facts: Facts) -> Child:
    if not facts.expiring:
        return _nothing("Nothing does.")
    lines = [(one, tables.instant(one.row.due_at)) for one in facts.expiring]
    return tables.grants("The nearest end first", "Ends at", lines)


def _late(facts: Facts) -> Child:
    about = element(
        "p",
        "Over or revoked, while AWS may still have allowed it: what only the worker ends, what is "
        "permanent, and what was revoked early. Behind the date in what the worker wrote AWS "
        "denies by itself, and nothing of that is listed.",
    )
    late = facts.late
    if not late:
        return joined(about, _nothing("Nothing was."))
    period = facts.question.period
    lines = [(one, tables.late(one, period)) for one in late]
    return joined(about, tables.grants("Until its removal was confirmed", "How long", lines))


def _trouble(facts: Facts) -> Child:
    told = (*facts.in_state("stuck"), *facts.denied)
    lines = []
    for one in told:
        trouble = one.row.trouble
        if trouble is not None:
            said = f": {trouble.code}: {trouble.message}"
            since = joined(f"{trouble.kind} since ", tables.instant(trouble.since.at))
            lines.append((one, joined(since, words(said))))
    whole = [] if facts.status is None else facts.status.standing.stuck
    events = [element("li", words(answers.because(each))) for each in whole if facts.concerns(each)]
    if not lines and not events:
        return _nothing("Nothing is.")
    return joined(
        tables.grants("Grants in trouble; refused and missing give no access", "Why", lines)
        if lines
        else None,
        element("ul", events) if events else None,
    )


def _by_daemon(facts: Facts) -> list[Entry]:
    return [one for one in facts.access if one.row.enforcement == "daemon"]


def _daemon(facts: Facts) -> Child:
    found = _by_daemon(facts)
    if not found:
        return _nothing("Nothing is: AWS itself ends every temporary grant that is listed.")
    lines = [(one, tables.instant(one.row.due_at)) for one in found]
    caption = "No date in AWS ends these: while no worker runs, they go on"
    return tables.grants(caption, "End", lines)


def _by_word(facts: Facts) -> Child:
    found = facts.in_state("left", "settled")
    if not found:
        return _nothing("Nothing is.")
    when = facts.question.when
    lines = [(one, words(answers.reason(one.row, when, one.history))) for one in found]
    return tables.grants("Over, and perhaps still there", "Why", lines)


def _drift(facts: Facts) -> Child:
    from ledger.events import DriftFound, DriftRepaired

    of_grants = [
        (one.row.grant, each)
        for one in facts.drifted
        for each in one.history
        if isinstance(each.event, DriftFound | DriftRepaired)
    ]
    told = {each.position for _, each in of_grants}
    status = facts.status
    others = [] if status is None else list(status.standing.drift)
    lines = [each for _, each in of_grants]
    lines += [each for each in others if each.position not in told and facts.concerns(each)]
    if not lines:
        return _nothing("Nothing that the worker has seen.")
    lines.sort(key=lambda each: each.position)
    return element("ul", [element("li", words(answers.because(each))) for each in lines])


# --- how it stands now ------------------------------------------------------------------------


def _exposed(facts: Facts) -> list[tuple[Entry, tuple[str, str | None]]]:
    """Those of `status` that were asked about: each with why, and what went wrong last."""
    if facts.status is None:
        return []
    entries = {one.row.key: one for one in facts.everything}
    return [
        (entries[each.found.row.key], (each.cause, each.last_error))
        for each in facts.status.exposed
        if each.found.row.key in entries
    ]


def _exposed_part(facts: Facts) -> Child:
    found = _exposed(facts)
    if not found:
        return _nothing("Nobody keeps access that is over: nothing is exposed.")
    lines: list[tuple[Entry, Child]] = [
        (
            one,
            joined(
                "since ",
                tables.instant(one.row.due_at),
                f": {cause}",
                words(f"; last error: {error}") if error else None,
            ),
        )
        for one, (cause, error) in found
    ]
    about = element(
        "p",
        "Past its end or revoked, not confirmed removed, and not denied by AWS. `iam-ledger "
        "status` prints the line that ends each by hand.",
        class_="alert",
    )
    return joined(about, tables.grants("Who should have no access any more", "Why", lines))


def _accounts(facts: Facts) -> Child:
    if facts.status is None:
        return None
    asked = {one.row.grant.account for one in facts.everything}
    everything = facts.keep == type(facts.keep)()
    rows = [
        (
            element("span", each.account, class_="number"),
            words(", ".join(each.environments) or "not mapped any more"),
            tables.instant(each.last_pass_at) if each.last_pass_at else "never",
            words(each.last_error or "none"),
        )
        for each in facts.status.standing.accounts
        if everything or each.account in asked or each.account == facts.keep.account
    ]
    if not rows:
        return _nothing("No account is mapped.")
    titles = ("Account", "Environments", "Last looked at", "Error at the last pass")
    return tables.simple("When the worker last looked at each", titles, rows)


# --- how it was made --------------------------------------------------------------------------


def _made(facts: Facts, version: str) -> Child:
    kept = facts.checkpoint
    pairs: list[tuple[str, Child]] = [
        ("Made at", tables.instant(facts.question.made_at)),
        ("By", f"{GENERATOR} {version}"),
        ("The same question again", element("code", words(facts.question.command))),
        ("Ledger", element("code", facts.ledger_id or "empty")),
        ("Position", f"{facts.position:,}"),
        ("Its hash", element("code", facts.hash)),
        ("Recorded at", tables.instant(facts.recorded_at)),
    ]
    if kept is None:
        pairs.append(("Checkpoint", "none was signed up to this position"))
    else:
        said = f"over {answers.counted(kept.position, 'event')}, kept as signed by {kept.key}"
        pairs += [("Newest checkpoint", said), ("Its hash", element("code", kept.hash))]
    rows = [element("div", element("dt", name), element("dd", value)) for name, value in pairs]
    about = element(
        "p",
        "This page was made from the ledger alone; AWS was not asked. It proves nothing by itself: "
        "`iam-ledger verify` with a checkpoint that was kept elsewhere proves the ledger, and "
        "`iam-ledger export --pack` hands over what proves a period without us.",
    )
    return joined(about, element("dl", rows, class_="made"))


def _nothing(said: str) -> Markup:
    return element("p", said, class_="nothing")
