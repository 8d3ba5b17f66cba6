# SPDX-License-Identifier: Apache-2.0
"""The command line: `python -m z4j_agent doctor`."""

from __future__ import annotations

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line with these arguments, those of the process by default, and writes to standard output. Returns the exit code: 0
    without errors, 2 with errors. Raises SystemExit for wrong arguments and for `--help`."""
    parser = argparse.ArgumentParser(prog="python -m z4j_agent", description="Commands of the z4j agent.")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser(
        "doctor", help="check the connection to the server and the configuration, and print a remedy for each problem"
    )
    doctor.add_argument("--json", action="store_true", help="write JSON instead of text")
    doctor.add_argument("target", nargs="?", default="", metavar="module:object", help="the application; it is imported as in production")
    options = parser.parse_args(arguments)
    from z4j_agent.doctor.doctor import as_json, as_text, examine, exit_code

    report = examine(options.target)
    sys.stdout.write((as_json(report) if options.json else as_text(report)) + "\n")
    return exit_code(report)


if __name__ == "__main__":
    sys.exit(main())
