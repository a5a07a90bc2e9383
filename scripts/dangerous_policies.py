"""Prints the table of AWS-managed policies that are dangerous, judged by what they say.

    .venv/bin/python scripts/dangerous_policies.py --write

puts it into `ledger/manifest/dangerous_policies.py`; a test holds that equal to what moto ships.
Invariant: the same judge as for custom statements, and every policy that anybody can attach.
"""

import json
import re
import sys
from pathlib import Path

from ledger.manifest.danger import WORDS, dangers

TABLE = Path(__file__).parents[1] / "ledger" / "manifest" / "dangerous_policies.py"
NOBODYS = ("/aws-service-role/", "/root-task/")
"""Paths of policies that AWS attaches itself, or for one root task only."""


def judged() -> dict[str, str]:
    """What stands behind `policy/` in the ARN -> the codes of its dangers, in one text."""
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    found = {}
    for name, policy in json.loads(aws_managed_policies_data).items():
        if policy["Path"] in NOBODYS:
            continue
        told = {code for danger in dangers(json.dumps(policy["Document"])) for code in danger.codes}
        if told:
            path = policy["Path"].removeprefix("/")
            found[f"{path}{name}"] = " ".join(code for code in WORDS if code in told)
    return dict(sorted(found.items()))


def put_into(text: str) -> str:
    """The module with the table anew."""
    lines = "".join(f'    "{name}": "{codes}",\n' for name, codes in judged().items())
    return re.sub(r"(?<== \{\n).*(?=^\}$)", lines, text, flags=re.DOTALL | re.MULTILINE)


def main(arguments: list[str]) -> None:
    text = put_into(TABLE.read_text(encoding="utf-8"))
    if arguments == ["--write"]:
        TABLE.write_text(text, encoding="utf-8")
    else:
        print(text, end="")


if __name__ == "__main__":
    main(sys.argv[1:])
