"""Runs checkov over terraform/, the workflows and the Dockerfile, without network access.

    scan.py CHECKOV SCRATCH_FOLDER

checkov silently skips files that it cannot parse. This script reports a skipped file as a failure.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = Path(".github/workflows")
# GitHub keys that checkov's schema does not know yet. checkov gets copies without these lines.
UNKNOWN = re.compile(r"^ *(attestations|deployment): .*\n", re.MULTILINE)


def scan(checkov, folder, framework):
    """Returns the report on one framework, or None if checkov could not read anything."""
    command = [checkov, "--directory", str(folder), "--framework", framework, "--skip-download"]
    command += ["--output", "json", "--compact", "--soft-fail"]
    if folder == ROOT:
        # Third-party files. (target/ also has the copies of the workflows.)
        command += ["--skip-path", "target", "--skip-path", "node_modules"]
    quiet = {**os.environ, "LOG_LEVEL": "ERROR"}
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=quiet)
    report = json.loads(ran.stdout)
    return report if isinstance(report, dict) and "summary" in report else None


def without_unknown_keys(scratch):
    """Writes copies of the workflows that checkov can parse, in the same folder structure. Returns their names."""
    shutil.rmtree(scratch, ignore_errors=True)
    (scratch / WORKFLOWS).mkdir(parents=True)
    names = []
    for workflow in sorted((ROOT / WORKFLOWS).glob("*.yml")):
        text = UNKNOWN.sub("", workflow.read_text(encoding="utf-8"))
        (scratch / WORKFLOWS / workflow.name).write_text(text, encoding="utf-8")
        names.append(workflow.name)
    return names


def main():
    """Returns the exit code: 0 without findings, else 1."""
    checkov, scratch = sys.argv[1], Path(sys.argv[2])
    workflows = without_unknown_keys(scratch)
    frameworks = [("terraform", ROOT / "terraform", []), ("github_actions", scratch, workflows)]
    if (ROOT / "Dockerfile").exists():
        frameworks.append(("dockerfile", ROOT, ["Dockerfile"]))
    code = 0
    for framework, folder, expected in frameworks:
        report = scan(checkov, folder, framework)
        if report is None:
            print(f"{framework}: checkov read no file")
            code = 1
            continue
        summary = report["summary"]
        print(f"{framework}: {summary['passed']} passed, {summary['failed']} failed, {summary['skipped']} suppressed")
        for finding in report["results"]["failed_checks"]:
            place = f"{finding['file_path']}:{finding['file_line_range'][0]}"
            print(f"  {finding['check_id']} {place} {finding['resource']}: {finding['check_name']}")
        if summary["failed"] or summary["parsing_errors"]:
            code = 1
        looked_at = {Path(finding["file_path"]).name for findings in report["results"].values() for finding in findings}
        for name in sorted(set(expected) - looked_at):
            print(f"  checkov did not read {name}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
