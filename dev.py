#!/usr/bin/env python3
"""The one entry point of a working copy: run, test, lint, bench, screenshots, package.

Needs Python, npm and git and nothing else: everything further is set up on the first start. This file is also read by
Pythons that are too old or too new, so it holds only the check that tells them so.
"""

import sys

OLDEST = (3, 11)
NEWEST = (3, 13)


def version_problem(version):
    """A sentence when this version of Python cannot run the project, else nothing."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return ""
    have = ".".join(str(number) for number in version[:3])
    return (
        "DePIN Desktop needs Python 3.11, 3.12 or 3.13, and this is Python " + have + ". "
        "Start dev.py with one of those, for example: python3.12 dev.py run"
    )


if __name__ == "__main__":
    problem = version_problem(sys.version_info)
    if problem:
        sys.exit(problem)
    from tools.dev.main import main

    sys.exit(main(sys.argv[1:]))
