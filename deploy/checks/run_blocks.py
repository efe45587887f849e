"""Runs shellcheck over the `run:` blocks of workflows, each with the options of the runner's shell.

    run_blocks.py SHELLCHECK FILE…

GitHub expressions are replaced with a word, because their values are unknown here.
"""

import re
import subprocess
import sys

import yaml

EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
# How GitHub starts a `run:` block.
HEAD = "#!/usr/bin/env -S bash --noprofile --norc -eo pipefail\n"


def blocks(path):
    """Yields the `run:` blocks of one workflow: (job, step number, text)."""
    with open(path, encoding="utf-8") as file:
        workflow = yaml.safe_load(file)
    for name, job in workflow["jobs"].items():
        for number, step in enumerate(job.get("steps", []), 1):
            if "run" in step:
                yield name, number, step["run"]


def main():
    """Returns the exit code: 0 if all blocks are clean, 1 if one is not, 2 if there are none."""
    shellcheck, *paths = sys.argv[1:]
    seen = unclean = 0
    for path in paths:
        for job, number, text in blocks(path):
            seen += 1
            command = [shellcheck, "--shell=bash", "--color=never", "-"]
            script = HEAD + EXPRESSION.sub("expression", text)
            if subprocess.run(command, input=script, text=True, check=False).returncode != 0:
                unclean += 1
                print(f"{path}: job {job}, step {number}", file=sys.stderr)
    print(f"{seen} run blocks, {unclean} with findings")
    return 1 if unclean else 0 if seen else 2


if __name__ == "__main__":
    sys.exit(main())
