"""The command-line tools for the broker. Each has a short connection of its own.

The worker never imports this package. A tool can break off at any time without a loss.

`one_shot` connects, publishes one message, or declares the topology. `subscriber` receives messages
for a while. `topology_check` compares the topology with the broker, and `queue_counts` counts what
waits. `dead_letter_queue` shows, replays and drops dead letters: `queue_browser` takes them,
`dead_letter` reads each of them, and `dead_letter_reason` finds out why it is there.
"""
