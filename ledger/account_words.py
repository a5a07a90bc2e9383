"""The newest word on each thing that concerns one account, its open grants, and what they make.

Pure. Invariant: whoever reads the words from the ledger, and whoever adds to them what might be
appended next, gets the account's view by the same code.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ledger.envelope import Recorded, subject
from ledger.events import (
    AccountMapped,
    AccountUnmapped,
    Adopted,
    DriftFound,
    Granted,
    Made,
    PolicyDefined,
    PolicyRetired,
    PolicyWritten,
    SettingsChanged,
    Sighted,
    Stuck,
)
from ledger.model import Account, AccountId, GrantId, Team
from ledger.project import GrantRow, LatestKey, Topic, fold, latest_keys, row_key
from ledger.state import AccountView, DefinedPolicy, Unreadable

OF_THE_ACCOUNT: tuple[Topic, ...] = ("account", "object", "sighted", "stuck", "drift")
OF_ALL: tuple[Topic, ...] = ("policy", "settings")

E = TypeVar("E")
V = TypeVar("V")


class OfAll:
    """The newest words on policies and settings. One is enough for all accounts: never changed."""

    __slots__ = ("known", "policies", "retired", "settings", "unreadable")

    def __init__(
        self,
        known: Mapping[LatestKey, Recorded],
        unreadable: Mapping[LatestKey, Unreadable] | None = None,
    ) -> None:
        """`known`: by subject, each topic in order of position."""
        self.known = known
        self.unreadable = unreadable or {}
        self.settings: SettingsChanged | None = None
        self.policies: dict[str, dict[tuple[Team, str], DefinedPolicy]] = defaultdict(dict)
        """By team, for whoever looks for those of a few."""
        self.retired: dict[str, dict[tuple[Team, str], PolicyRetired]] = defaultdict(dict)
        for item in known.values():
            match item.event:
                case SettingsChanged() as settings:
                    self.settings = settings
                case PolicyDefined(policy):
                    defined = DefinedPolicy(policy, item.position)
                    self.policies[policy.team][policy.team, policy.name] = defined
                case PolicyRetired() as gone:
                    self.retired[gone.team][gone.team, gone.policy] = gone
                case _:
                    raise ValueError(f"{type(item.event).__name__} does not concern every account")

    def after(self, new: Mapping[LatestKey, Recorded]) -> "OfAll":
        """These words with newer ones behind them."""
        if not new:
            return self
        return OfAll({key: i for key, i in self.known.items() if key not in new} | dict(new))


class OfTeams(Mapping[tuple[Team, str], V]):
    """What some teams have of something that is kept once for all accounts, by team."""

    __slots__ = ("_by_team", "_teams")

    def __init__(self, by_team: Mapping[str, Mapping[tuple[Team, str], V]], teams: set[str]):
        self._by_team = by_team
        self._teams = tuple(sorted(team for team in teams if team in by_team))

    def __getitem__(self, key: tuple[Team, str]) -> V:
        if key[0] not in self._teams:
            raise KeyError(key)
        return self._by_team[key[0]][key]

    def __iter__(self) -> Iterator[tuple[Team, str]]:
        return (key for team in self._teams for key in self._by_team[team])

    def __len__(self) -> int:
        return sum(len(self._by_team[team]) for team in self._teams)


@dataclass(frozen=True, slots=True)
class AccountWords:
    """All that the ledger says about one account, unread things among it."""

    account: AccountId
    position: int
    """The newest event that these words know of."""
    ledger_id: str
    rows: Mapping[tuple[GrantId, int], GrantRow]
    """Every turn on which something is live, to come, or owed; oldest first."""
    known: Mapping[LatestKey, Recorded]
    """Its own, by subject, each topic in order of position."""
    of_all: OfAll
    """Of all teams, its own or not."""
    unreadable: Mapping[LatestKey, Unreadable] = field(default_factory=dict)
    too_new: Mapping[int, Unreadable] = field(default_factory=dict)
    """Events about its open grants that only a newer program can read, by position."""
    bad_rows: tuple[Unreadable, ...] = ()
    older_way_in: Account | None = None
    """The newest mapping that can be read, where the newest of all cannot."""

    def view(self) -> AccountView:
        """What a keeper obeys."""
        mapped = self._words("account", AccountMapped)
        gone = self._words("account", AccountUnmapped)
        ways = [event.account for event in (mapped or gone).values()]
        teams = self._teams()
        return AccountView(
            account=self.account,
            position=self.position,
            ledger_id=self.ledger_id,
            entries=tuple(event.account for event in mapped.values()),
            way_in=ways[-1] if ways else self.older_way_in,
            settings=self.of_all.settings,
            rows=tuple(self.rows.values()),
            policies=OfTeams(self.of_all.policies, teams),
            retired=OfTeams(self.of_all.retired, teams),
            objects=self._objects(),
            object_positions={
                (Team(key.team), key.name): at for key, at in self._positions("object").items()
            },
            sightings={key.name: event for key, event in self._words("sighted", Sighted).items()},
            stuck={(key.team, key.name): e for key, e in self._words("stuck", Stuck).items()},
            stuck_positions={
                (key.team, key.name): at for key, at in self._positions("stuck").items()
            },
            drift={
                key.name: (event, self.known[key].position)
                for key, event in self._words("drift", DriftFound).items()
            },
            unreadable=self._unreadable(teams),
            adopted={
                key.name: (event, self.known[key].position)
                for key, event in self._words("sighted", Adopted).items()
            },
            sighting_positions={key.name: at for key, at in self._positions("sighted").items()},
        )

    def after(self, items: Iterable[Recorded]) -> "AccountWords":
        """These words with more events behind them, in order; those of other accounts pass by."""
        position, known, rows = self.position, dict(self.known), dict(self.rows)
        of_all: dict[LatestKey, Recorded] = {}
        for item in items:
            position = max(position, item.position)
            if subject(item.event).account not in (None, self.account):
                continue
            for key in latest_keys(item.event):
                words = of_all if key.topic in OF_ALL else known
                if words is of_all or key.topic in OF_THE_ACCOUNT:
                    words.pop(key, None)
                    words[key] = item  # last: the order of position
            turn = row_key(item.event)
            if turn is None or (turn not in rows and not isinstance(item.event, Granted)):
                continue  # about no grant, or about one that is closed and stands here no more
            row = fold(rows.get(turn), item)
            if row is None or row.closed is not None:
                rows.pop(turn, None)
            else:
                rows[turn] = row
        after = self.of_all.after(of_all)
        return replace(self, position=position, known=known, rows=rows, of_all=after)

    def _known(self, topic: Topic) -> dict[LatestKey, Recorded]:
        return {key: item for key, item in self.known.items() if key.topic == topic}

    def _words(self, topic: Topic, kind: type[E]) -> dict[LatestKey, E]:
        """The subjects whose newest word is of `kind`, in order of position."""
        found = self._known(topic)
        return {key: item.event for key, item in found.items() if isinstance(item.event, kind)}

    def _objects(self) -> dict[tuple[Team, str], PolicyWritten]:
        """Written by us, or taken over and not written yet."""
        found = self._words("object", PolicyWritten)
        for key, event in self._words("object", Adopted).items():
            made = Made("policy", event.policy_arn, None)
            at = self.known[key].recorded_at
            found[key] = PolicyWritten(event.account, event.team, event.policy, made, 0, (), at)
        return {(Team(key.team), key.name): event for key, event in found.items()}

    def _positions(self, topic: Topic) -> dict[LatestKey, int]:
        """Where each newest word stands, whether it can be read or not."""
        known = {key: item.position for key, item in self._known(topic).items()}
        unread = self.unreadable.items()
        return known | {key: item.position for key, item in unread if key.topic == topic}

    def _teams(self) -> set[str]:
        """Whoever maps the account, or has grants or policies in it."""
        teams: set[str] = {row.grant.team for row in self.rows.values()}
        teams |= {e.account.team for e in self._words("account", AccountMapped).values()}
        teams |= {key.team for key in self._known("object")}
        return teams | {key.team for key in self.unreadable if key.topic == "account"}

    def _unreadable(self, teams: set[str]) -> tuple[Unreadable, ...]:
        found = dict(self.too_new)
        for key, item in (*self.unreadable.items(), *self.of_all.unreadable.items()):
            if key.topic != "policy" or key.team in teams:
                found[item.position] = item
        return (*found.values(), *self.bad_rows)
