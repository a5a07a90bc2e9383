"""Which file is what: four folders of one file a team, and one settings file.

Invariant: a file or folder whose name is nearly one of ours is an error. Read as a stranger it
would look like an empty one, and empty means "take the access away".
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from ledger.manifest import access, accounts, policies
from ledger.manifest.problems import Desk, Source, Unreadable
from ledger.manifest.sheet import check_name
from ledger.model import Team

SETTINGS_FILE = "iam-ledger.yaml"
FOLDERS = (accounts.SECTION, policies.SECTION, access.PERMANENT, access.TEMPORARY)
SUFFIXES = (".yaml", ".yml")

NEAR = 0.81
"""Of difflib's ratio: `temporary_access` has 0.94, `aws-policy` 0.82, `policies` 0.80."""

_NEARLY_SUFFIXES = (".yaml", ".yml", ".yam", ".yalm", ".ymal", ".ymls", ".yamls", ".yaml.txt")
_QUIET_SUFFIXES = (".md", ".txt", ".rst")


@dataclass(slots=True)
class Layout:
    settings: str | None = None
    """The settings file's path; None: there is none."""
    teams: dict[Team, dict[str, str]] = field(default_factory=dict)
    """Folder to path of the file, by team."""
    team_of: dict[str, Team] = field(default_factory=dict)
    """Path to the team whose file it is, also of a file that is one too many."""

    def path(self, team: Team, folder: str) -> str | None:
        return self.teams[team].get(folder)


def arrange(paths: Collection[str], others: Collection[str], desk: Desk) -> Layout:
    """Sorts `paths` by what they are; `others` are the names of what else stands at the top."""
    layout = Layout()
    top = set(others)
    for path in sorted(paths):
        folder, slash, name = path.partition("/")
        if not slash:
            top.add(path)
        elif folder in FOLDERS:
            _place(layout, folder, name, path, desk)
        else:
            top.add(folder)
    stem = SETTINGS_FILE.removesuffix(SUFFIXES[0])
    settings = [stem + suffix for suffix in SUFFIXES if stem + suffix in paths]
    if settings:
        layout.settings = settings[0]
    for second in settings[1:]:
        message = f"the settings stand in this file and in {settings[0]}"
        desk.report(Source(second, 1, 1), "two-files", message, "keep one of them")
    for name in sorted(top - {*settings, SETTINGS_FILE, *FOLDERS}):
        near = nearly_ours(name)
        if near is not None:
            message = f"`{name}` is not read"
            hint = f"did you mean `{near}`? Rename it, or give it a name less like ours"
            desk.report(Source(name, 1, 1), "nearly-ours", message, hint)
    return layout


def _place(layout: Layout, folder: str, name: str, path: str, desk: Desk) -> None:
    source = Source(path, 1, 1)
    suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
    folded = name.casefold()
    if name.startswith(".") or "/" in name:
        return
    if suffix is None:
        if folded.endswith(_NEARLY_SUFFIXES):
            desk.report(source, "file-name", f"`{name}` is not read", "its name must end in .yaml")
        elif not folded.endswith(_QUIET_SUFFIXES):
            message = f"`{name}` is not read: its name does not end in .yaml"
            desk.report(source, "file-name", message, severity="warning")
        return
    team = Team(name.removesuffix(suffix))
    try:
        check_name(team, "a team")
    except Unreadable as reason:
        desk.report(source, reason.code, reason.message, reason.hint)
        return
    layout.team_of[path] = team
    mine = layout.teams.setdefault(team, {})
    if folder in mine:
        message = f"team `{team}` has this file and {mine[folder]}"
        desk.report(source, "two-files", message, "keep one of them")
        return
    mine[folder] = path


def nearly_ours(name: str) -> str | None:
    """Which of our names `name` is nearly, and is not; None: none."""
    folded = name.casefold()
    for ours in FOLDERS:
        if SequenceMatcher(None, folded, ours).ratio() >= NEAR:
            return f"{ours}/"
    stem = next((folded[: -len(end)] for end in _NEARLY_SUFFIXES if folded.endswith(end)), None)
    ours_stem = SETTINGS_FILE.rpartition(".")[0]
    if stem is not None and SequenceMatcher(None, stem, ours_stem).ratio() >= NEAR:
        return SETTINGS_FILE
    return None
