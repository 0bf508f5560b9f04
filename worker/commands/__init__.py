"""Executes commands: each exactly once, from the bytes of a delivery to its settlement.

Read `handler` down the page: it decodes a delivery (`decoding`), claims the command
(`claim_request`), runs its operation (`attempt_runner`) and completes it. `refused_claims`
settles what is not executed now: repeats, and other bodies of an id. `operations` has one function
for each command.
`decision` decides what follows from the end of an attempt: `limits` says what ends a command,
`final_outcome` how it ended, `retry_policy` how long to wait, and `park` what a command waits for
outside the queue. `completion` commits the decision, with `parker` for commands that wait, and
`waiting_commands` logs once why they do.
`people_finders` lets a start find the people that it names. `attempt_lease` limits an attempt to
the time of its claim. `crash_suspects` recognises deliveries that may end the process.
`instrumentation` counts, logs and traces each attempt. `dead_letters` gives an outcome to each
command that the broker dead-lettered.
"""
