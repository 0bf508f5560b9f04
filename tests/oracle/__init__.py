"""A second opinion about the worker: an API, random histories and a checker of their own.

The sandbox and the other tests share the beliefs of the worker's authors. This package is written
from the public contract and from public facts about the API, and imports nothing of the worker and
nothing of the sandbox's emulated API. `python -m tests.oracle` runs it; see
docs/explanation/fault-tests.md.

The API (`stand_in`, over HTTP) answers from what is true, but may show it late or badly:

- `truth`: what exists: meetings, people, recordings, files, with the time of every change.
- `world`: how recordings change: by requests, by themselves, by the end of a session.
- `behaviour`: how the API of one history differs from the ideal one. The seed draws it.
- `views`: what an answer shows of the truth.
- `api_operations`: what each request does, and its answer; `api_lists`: those that are lists.
- `apps`: the one app of a history, or its two.
- `request_faults`: what goes wrong with a request; `webhook_sender`: the same for webhooks.

A history (`history`) is one run of real workers:

- `commands` draws commands, right and wrong ones, and `sender` publishes them.
- `replicas` runs the workers; `strikes` kills, freezes and cuts off.
- `subscriber` keeps every message.

The checker judges the `evidence` of a history. Each module of `CHECKS` in `checker` is one group of
guarantees: `check_missing`, `check_outcomes`, `check_starts`, `check_stops`, `check_events`,
`check_statuses`, `check_files`, `check_times`, `check_replays`, `check_messages`,
`check_requests`, `check_dead_letters`. `start_keys` tells to which starts a recording may belong,
`shown` what the workers were shown. `records` writes a history down. `test_checker` spoils
`good_history` to show that each check can fail.
"""
