"""The auditor's script as a module, though it belongs to no package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parents[2] / "deploy" / "verify_export.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_export", SCRIPT)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["verify_export"] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


script = load_script()
