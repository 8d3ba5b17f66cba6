# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the executable is frozen from; everywhere else the entry point is `z4j.cli:main`. The demo runs its applications as
`z4j demo-worker …`: processes of the same file that import nothing of the server. `z4j send-message` sends one message of an alert."""

import sys

if sys.argv[1:2] == ["demo-worker"]:
    from z4j_demo.__main__ import main as run_part

    raise SystemExit(run_part(sys.argv[2:]))

if sys.argv[1:2] == ["send-message"]:
    from z4j.operations.alerts.webhooks_and_apprise import main as send_message

    raise SystemExit(send_message())

from z4j.cli import main

raise SystemExit(main())
