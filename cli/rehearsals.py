"""A rehearsal as text, Markdown and JSON: account by account, what would be done and what not.

Pure. Invariant: whatever the pass would do or could not do stands in one place of its account.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cli import answers, render
from cli.instants import shown
from ledger.events import Sighted, Stuck
from ledger.project import GrantRow, TroubleKind
from ledger.sentences import titled

if TYPE_CHECKING:
    from cli.rehearsing import Rehearsed
    from worker.rehearsing.rehearsal import Rehearsal
    from worker.rehearsing.rehearsed import Step

CONFLICT = "conflict"
"""The code of what is stuck because something foreign stands under our name."""

_STEPS = (
    render.Column("call", "call", width_min=19),
    render.Column("on", "on", width_min=12),
    render.Column("object", "object", width_min=27),  # `iam-ledger-` and a grant's id
    render.Column("room", "room"),
    render.Column("class", "class"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """What is told of an account beside its steps."""

    key: str
    """In JSON."""
    title: str
    lines: tuple[str, ...]
    items: tuple[answers.Item, ...]


@dataclass(frozen=True)
class Told:
    """One account's rehearsal, seen as an answer."""

    found: "Rehearsal"

    @property
    def failed(self) -> bool:
        """Whether something could not be read, or would not be done."""
        found = self.found
        return bool(
            found.error
            or found.unfinished
            or self._rows("refused")
            or self._rows("stuck")
            or self._policies_stuck()
        )

    def title(self) -> str:
        found, way_in = self.found, self.found.view.way_in
        names = ", ".join(f"{each.team} {each.environment}" for each in found.view.entries)
        role = "" if way_in is None else f", entered by {way_in.deployer_role}"
        said = f"account {found.account} ({names or 'mapped no more'}){role}: "
        if found.error is not None:
            return f"{said}cannot be entered"
        number = steps_of(found)
        return said + (answers.counted(number, "step") if number else "no steps")

    def trouble(self) -> list[str]:
        """Why this is nothing, or not all."""
        error, unfinished = self.found.error, self.found.unfinished
        said = [] if error is None else [f"{error.code}: {error.message}"]
        return said + ([] if unfinished is None else [f"not finished: {unfinished}"])

    def rows(self) -> list[render.Row]:
        """The steps as a table shows them."""
        return [
            {
                "call": step.call
                + (" (stands)" if step.outcome == "stood" else "")
                + (" (is gone)" if step.outcome == "absent" else ""),
                "on": None if step.principal is None else str(step.principal),
                "object": self._object(step),
                "room": _room(step),
                "class": self._class(step),
            }
            for step in self.found.steps
        ]

    def parts(self) -> list[Part]:
        """In the order of what a person should look at first; empty ones are left out."""
        found = (
            self._trouble("refused", "would be refused: nothing of it would stand"),
            self._conflicts(),
            self._stuck(),
            self._trouble("missing", "missing: taken away by somebody else, and left so"),
            self._drift(),
            self._stood(),
            self._later(),
        )
        return [part for part in found if part.lines]

    def item(self) -> answers.Item:
        """One account in JSON."""
        found, error, way_in = self.found, self.found.error, self.found.view.way_in
        parts = {part.key: list(part.items) for part in self.parts()}
        keys = ("refused", "conflicts", "stuck", "missing", "drift", "stands_already", "later")
        return {
            "account_id": found.account,
            "environments": [
                {"team": each.team, "environment": each.environment} for each in found.view.entries
            ],
            "deployer_role": None if way_in is None else way_in.deployer_role,
            "error": None if error is None else {"code": error.code, "message": error.message},
            "unfinished": found.unfinished,
            "steps": [self._step_item(step) for step in found.steps],
            **{key: parts.get(key, []) for key in keys},
        }

    # --- steps --------------------------------------------------------------------------------

    def _grants(self, step: "Step") -> list[GrantRow]:
        """Whose access the object of a step gives."""
        who = "" if step.principal is None else step.principal.key
        return self._named.get((who, step.name), [])

    @cached_property
    def _named(self) -> dict[tuple[str, str | None], list[GrantRow]]:
        """By principal and by the names of what stands, or stood, for them; "": on whomever."""
        found: dict[tuple[str, str | None], list[GrantRow]] = {}
        for row in self.found.turns.values():
            for name in {row.grant.object, *(made.name for made in row.made)}:
                for who in (row.grant.principal.key, ""):
                    found.setdefault((who, name), []).append(row)
        return found

    def _object(self, step: "Step") -> str:
        short = step.name.rpartition("policy/")[2] if step.name.startswith("arn:") else step.name
        policies = sorted({row.grant.policy for row in self._grants(step)})
        inline = step.principal is not None and not step.name.startswith("arn:")
        return f"{short} {', '.join(policies)}" if inline and policies else short

    def _class(self, step: "Step") -> str | None:
        """Of the object itself, whatever else its grant has; None where it gives no end."""
        rows = [row for row in self._grants(step) if row.grant.temporary]
        untimed = any(
            made.kind == "attachment" and made.name == step.name
            for row in rows
            for made in row.made
        )
        return ("daemon" if untimed else "aws") if rows else None

    def _step_item(self, step: "Step") -> answers.Item:
        who, room, rows = step.principal, step.room, self._grants(step)
        return {
            "call": step.call,
            "outcome": step.outcome,
            "principal": None if who is None else who.name,
            "principal_type": None if who is None else who.kind.value,
            "object": step.name,
            "characters": step.characters,
            "used": None if room is None else room.used,
            "limit": None if room is None else room.limit,
            "unit": None if room is None else room.unit,
            "enforcement": self._class(step),
            "grants": [answers.grant_item(row.grant) for row in rows],
        }

    # --- what would not be done ---------------------------------------------------------------

    def _rows(self, kind: TroubleKind) -> list[GrantRow]:
        """Those in trouble of `kind`, but what was in it before and not tried here."""
        rows = [row for row in self.found.view.rows if row.trouble and row.trouble.kind == kind]
        if kind == "missing":
            return rows
        judged = self.found.tried if kind == "stuck" else self.found.told_anew
        return [row for row in rows if judged(row)]

    def _policies_stuck(self) -> list[Stuck]:
        """Of policies, and of the account as a whole; what was tried here only."""
        stuck, tried = self.found.view.stuck, self.found.tried_policy
        return [event for key, event in stuck.items() if tried(*key)]

    def _trouble(self, kind: TroubleKind, title: str) -> Part:
        rows = self._rows(kind)
        return Part(kind, title, tuple(map(_troubled, rows)), tuple(map(_trouble_item, rows)))

    def _conflicts(self) -> Part:
        found = [stuck for stuck in self._policies_stuck() if stuck.code == CONFLICT]
        title = "in conflict: something foreign stands under our name, and is left alone"
        return Part("conflicts", title, *_told(found))

    def _stuck(self) -> Part:
        rows = self._rows("stuck")
        found = [stuck for stuck in self._policies_stuck() if stuck.code != CONFLICT]
        lines, items = _told(found)
        return Part(
            "stuck",
            "would not get done",
            (*map(_troubled, rows), *lines),
            (*map(_trouble_item, rows), *items),
        )

    def _drift(self) -> Part:
        found = [event for event, _ in self.found.view.drift.values()]
        items: list[answers.Item] = [
            {
                "drift": event.drift,
                "object": event.object,
                "grant_id": None if event.grant is None else event.grant.id,
                "team": event.team,
                "policy": event.policy,
                "first_seen_at": answers.text(event.first_seen_at),
            }
            for event in found
        ]
        return Part("drift", "drift", tuple(map(titled, found)), tuple(items))

    def _stood(self) -> Part:
        found = [e for e in self.found.events if isinstance(e, Sighted) and e.present]
        items: list[answers.Item] = [
            {
                "principal": event.grant.principal.name,
                "principal_type": event.grant.principal.kind.value,
                "policy_arn": event.policy_arn,
                "grant_id": event.grant.id,
            }
            for event in found
        ]
        return Part(
            "stands_already",
            "stands already: attached by others, and left standing when its grant ends",
            tuple(f"{e.grant.principal} {e.policy_arn}, for {e.grant.policy}" for e in found),
            tuple(items),
        )

    def _later(self) -> Part:
        found = sorted(self.found.later, key=lambda row: row.grant.window.starts_at)
        starts = (
            f"{answers.named(row.grant)} from {shown(row.grant.window.starts_at)}" for row in found
        )
        items = (
            answers.grant_item(row.grant) | {"starts_at": answers.text(row.grant.window.starts_at)}
            for row in found
        )
        return Part("later", "written when its start comes near", tuple(starts), tuple(items))


def steps_of(found: "Rehearsal") -> int:
    """How many calls would change something, or find it changed; what is in the way is none."""
    return sum(step.outcome != "stood" for step in found.steps)


def _room(step: "Step") -> str | None:
    if step.room is None:
        return None
    room = f"{step.room.used:,} of {step.room.limit:,}"
    own = step.characters
    return room if own is None or own == step.room.used else f"{own:,}, in all {room}"


def _troubled(row: GrantRow) -> str:
    said = "" if row.trouble is None else f": {row.trouble.code}: {row.trouble.message}"
    return f"{answers.named(row.grant)}{said}"


def _trouble_item(row: GrantRow) -> answers.Item:
    trouble = row.trouble
    return answers.grant_item(row.grant) | {
        "code": None if trouble is None else trouble.code,
        "message": None if trouble is None else trouble.message,
    }


def _told(found: list[Stuck]) -> tuple[tuple[str, ...], tuple[answers.Item, ...]]:
    items: list[answers.Item] = [
        {"team": e.team, "policy": e.policy, "code": e.code, "message": e.message} for e in found
    ]
    return tuple(map(titled, found)), tuple(items)


# --- the whole ----------------------------------------------------------------------------------


def tally(found: "Rehearsed") -> str:
    """The whole in one line."""
    steps = sum(map(steps_of, found.accounts))
    dead = sum(each.error is not None for each in found.accounts)
    closed = f"; {answers.counted(dead, 'account')} cannot be entered" if dead else ""
    return (
        f"rehearsal: {answers.counted(steps, 'step')} in "
        f"{answers.counted(len(found.accounts), 'account')}{closed}; "
        f"{answers.counted(found.calls, 'call')} read AWS, nothing was written"
    )


def told(found: "Rehearsed") -> list[Told]:
    return [Told(each) for each in found.accounts]


def failed(found: "Rehearsed") -> bool:
    """Whether any account could not be read, or would not get all it should."""
    return any(one.failed for one in told(found))


def text_of(found: "Rehearsed", *, width: int | None, color: bool) -> str:
    """For people: tables of `width` columns on a screen; None: as wide as they need."""

    def table(rows: list[render.Row]) -> str:
        if width is None:
            return render.plain_table(_STEPS, rows)
        return render.terminal_table(_STEPS, rows, width=width, color=color)

    blocks = []
    for one in told(found):
        lines = [render.styled(render.safe(one.title()), "bold", color=color)]
        lines += [f"  {render.safe(line)}" for line in one.trouble()]
        if one.found.steps:
            lines.append(table(one.rows()).rstrip("\n"))
        for part in one.parts():
            lines.append(f"{part.title} ({len(part.lines):,})")
            lines += [f"  {render.safe(line)}" for line in part.lines]
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, tally(found)]) + "\n"


def markdown_of(found: "Rehearsed", *, chars_max: int) -> str:
    """For a pull request; what would be too long for a comment is only counted."""
    head, blocks, left = f"### iam-ledger: {render.markdown_text(tally(found))}\n", [], 0
    room = chars_max - len(head) - 100
    for one in told(found):
        block = "".join(_markdown_lines(one))
        if len(block) > room:
            left += 1
            continue
        room -= len(block)
        blocks.append(block)
    more = f"\n**{answers.counted(left, 'account')} more**: `plan --aws` prints all of them.\n"
    return head + "".join(blocks) + (more if left else "")


def _markdown_lines(one: Told) -> Iterator[str]:
    yield f"\n#### {render.markdown_text(one.title())}\n\n"
    for line in one.trouble():
        yield f"- **{render.markdown_text(line)}**\n"
    if one.found.steps:
        yield render.markdown_table(_STEPS, one.rows())
    for part in one.parts():
        yield f"\n{part.title} ({len(part.lines):,})\n\n"
        for line in part.lines:
            yield f"- {render.markdown_text(line)}\n"


def document_of(found: "Rehearsed") -> Mapping[str, object]:
    """What `plan --aws -o json` says beside `plan -o json`."""
    return {"calls": found.calls, "accounts": [one.item() for one in told(found)]}
