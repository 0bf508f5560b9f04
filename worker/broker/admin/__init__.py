"""The command-line tools for the broker. Each opens a short connection.

The worker never imports this package. A tool can stop at any time without a loss.

`one_shot` connects, publishes one message, or declares the topology. `subscriber` receives messages
for a while. `topology_check` compares the topology with the broker, and `queue_counts` counts
waiting messages. `dead_letter_queue` shows, replays and drops dead letters: `queue_browser`
receives them, `dead_letter` parses each of them, and `dead_letter_reason` finds the reason.
"""
