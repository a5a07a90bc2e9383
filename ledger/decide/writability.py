"""What no account can hold, by the files alone; `validate` and `ingest` refuse it alike.

Invariant: what hangs on an account (its free room, what AWS's own policies say) is not judged here.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

from ledger.decide.catalogue import problem_at
from ledger.decide.decision import Check
from ledger.manifest.declared import DeclaredGrant, Manifest
from ledger.manifest.problems import Problem
from ledger.model import Team

CODE = "cannot-be-written"


def unwritable(
    manifest: Manifest, teams: Collection[Team], lines: Iterable[DeclaredGrant], check: Check
) -> Iterator[Problem]:
    """Every policy of `teams`, which each account they map gets, and the windows among `lines`."""
    for declared in manifest.policies:
        if declared.policy.team not in teams:
            continue
        message = check(declared.policy, False, 0)
        if message is not None:
            yield problem_at(manifest, declared.source, CODE, message)
    seen: dict[tuple[Team, str, int], str | None] = {}
    for line in lines:
        policy = manifest.policy(line.team, line.policy)
        if policy is None or line.end_source is None:
            continue  # a permanent line attaches its policy, which has been looked at
        chars_max = line.principal.facts.inline_chars_max
        key = (line.team, line.policy, chars_max)
        if key not in seen:
            seen[key] = check(policy.policy, True, chars_max)
        message = seen[key]
        if message is not None:
            yield problem_at(manifest, line.sources[0], CODE, message)


def not_over(manifest: Manifest, now: datetime) -> Iterator[DeclaredGrant]:
    """The lines that may still give access, by what they say themselves."""
    for line in manifest.grants:
        ends_at = line.ends_at(line.starts_at or now, manifest.settings.time_zone)
        if ends_at is None or ends_at > now:
            yield line
