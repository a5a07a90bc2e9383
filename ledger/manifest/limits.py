"""How far ahead an end may be and how long a window may last: the rule and its words.

Invariant: time alone never makes a line that was accepted break a limit. Whoever asks decides for
which grants they hold: new ones, and ends moved later.
"""

from datetime import UTC, datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from ledger.codec import instant_text
from ledger.manifest.declared import DeclaredGrant, EndsAt, LastDay, Lasts, Manifest, Permanent
from ledger.manifest.problems import Problem, Source, excerpt_of, lines_of
from ledger.manifest.scalars import duration_text
from ledger.model import Policy, Settings


def too_far(
    grant: DeclaredGrant, ends_at: datetime, settings: Settings, now: datetime
) -> str | None:
    """Why `ends_at` is further ahead of `now` than `max_temporary_days`; None: it is not.

    An `expiration_date` is compared by date, in the settings' time zone, as the seed does.
    """
    days = settings.max_temporary_days
    limit = f"more than {days} {'day' if days == 1 else 'days'} ahead (`max_temporary_days`)"
    latest = now.astimezone(UTC).replace(microsecond=0) + timedelta(days=days)
    match grant.end:
        case Permanent():
            return None
        case LastDay(day):
            last = now.astimezone(ZoneInfo(settings.time_zone)).date() + timedelta(days=days)
            if day <= last:
                return None
            return (
                f"`expiration_date` is {day}, {limit}: the last day that can be asked for "
                f"is {last} ({settings.time_zone})"
            )
        case EndsAt():
            written = f"`expires_at` is {instant_text(ends_at)}"
        case Lasts(seconds):
            written = f"`duration` of {duration_text(seconds)} ends at {instant_text(ends_at)}"
        case _:
            assert_never(grant.end)
    if ends_at <= now + timedelta(days=days):
        return None
    return f"{written}, {limit}: the last end that can be asked for is {instant_text(latest)}"


def too_long(window_seconds: int, policy: Policy) -> str | None:
    """Why a window of so many seconds is longer than `policy` allows; None: it is not."""
    if policy.max_duration_s is None or window_seconds <= policy.max_duration_s:
        return None
    return (
        f"the window lasts {duration_text(window_seconds)}, and policy `{policy.name}` allows "
        f"{duration_text(policy.max_duration_s)} (`max_duration`)"
    )


def limit_problems(manifest: Manifest, now: datetime) -> tuple[Problem, ...]:
    """Every grant of `manifest` that would break a limit if it were new at `now`, sorted.

    Grants that have ended break none. What begins at once begins at `now`.
    """
    found: dict[tuple[Source, str, str], None] = {}
    for grant in manifest.grants:
        if grant.end_source is None:
            continue
        starts_at = grant.starts_at or now
        ends_at = grant.ends_at(starts_at, manifest.settings.time_zone)
        if ends_at is None or ends_at <= now:
            continue
        far = too_far(grant, ends_at, manifest.settings, now)
        if far is not None:
            found[grant.end_source, "too-far", far] = None
        declared = manifest.policy(grant.team, grant.policy)
        if declared is not None:
            seconds = int((ends_at - starts_at).total_seconds())
            long = too_long(seconds, declared.policy)
            if long is not None:
                found[grant.end_source, "too-long", long] = None
    lines = {source.path: lines_of(manifest.texts.get(source.path, "")) for source, _, _ in found}
    return tuple(
        Problem(source, "error", code, message, None, excerpt_of(lines[source.path], source.line))
        for source, code, message in sorted(found)
    )
