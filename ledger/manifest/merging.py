"""Lines of one identity to one grant with all their places.

Invariant: ids are unique in what comes out; what the first line says besides its meaning (ticket of
a dated line, description, the environment's name) is kept. Adding costs the same however often an
identity came before.
"""

from dataclasses import dataclass, field, replace

from ledger.manifest.declared import DeclaredGrant, Lasts
from ledger.manifest.problems import Desk, Source
from ledger.model import GrantId

_Places = tuple[dict[Source, None], dict[Source, None]]
"""Sources and deciding places, in order, each once."""


@dataclass(slots=True)
class Merging:
    desk: Desk
    first: dict[GrantId, DeclaredGrant] = field(default_factory=dict)
    more: dict[GrantId, _Places] = field(default_factory=dict)
    """Of the identities that came more than once."""

    def add(self, grant: DeclaredGrant) -> None:
        known = self.first.setdefault(grant.id, grant)
        if known is grant:
            return
        if isinstance(grant.end, Lasts) and grant.end_source != known.end_source:
            self._report_second_duration(known, grant.sources[0])
            return
        places = self.more.get(grant.id)
        if places is None:
            places = self.more[grant.id] = (
                dict.fromkeys(known.sources),
                dict.fromkeys(known.deciding),
            )
        places[0].update(dict.fromkeys(grant.sources))
        places[1].update(dict.fromkeys(grant.deciding))

    def merged(self) -> tuple[DeclaredGrant, ...]:
        """Every grant once, in the order of their first lines."""
        for identity, (sources, deciding) in self.more.items():
            self.first[identity] = replace(
                self.first[identity], sources=tuple(sources), deciding=tuple(deciding)
            )
        self.more.clear()
        return tuple(self.first.values())

    def _report_second_duration(self, known: DeclaredGrant, source: Source) -> None:
        first = known.sources[0]
        message = (
            f"this `duration` is that of {first.path}:{first.line} again: the same team, "
            f"environment, principal, policy, start and ticket"
        )
        hint = "to ask twice give one of them another `ticket` or `starts_at`"
        self.desk.report(source, "duplicate-duration", message, hint)
