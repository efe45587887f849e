"""Fuzzes the service with Schemathesis: `python tests/contract/fuzz.py BASE_URL`.

Schemathesis generates requests that the service's description allows and requests that it forbids. schemathesis.toml configures
the generation; hooks.py covers rules that an OpenAPI description cannot express.
"""

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    base_url = sys.argv[1].rstrip("/")
    sys.dont_write_bytecode = True
    os.environ |= {"SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), "ORDERS_URL": base_url}
    from schemathesis.cli import schemathesis

    command = ["--config-file", str(HERE / "schemathesis.toml"), "run", f"{base_url}/openapi.json", "--url", base_url]
    worst = 0
    # Schemathesis writes files to its working folder.
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # The stateful phase runs alone: with the findings of the other phases it would repeat itself and stop early.
        for phases in ("examples,coverage,fuzzing", "stateful"):
            try:
                schemathesis([*command, "--phases", phases, *sys.argv[2:]])
            except SystemExit as end:
                worst = max(worst, 0 if end.code is None else int(end.code))
    return worst


if __name__ == "__main__":
    sys.exit(main())
