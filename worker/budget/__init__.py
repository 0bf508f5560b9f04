"""The API request budget that all replicas share: every request to the API takes one token from it.

Stops go before other commands, and commands before reads and sweeps. The ledger of each budget is
one row in the state store. A replica takes tokens from the ledger in small blocks.

In reading order: `priorities` (how a quota is divided), `sliding_window` (what was spent in one
window), `ledger` (one replica's request applied to all windows), `token_pool` (the tokens that a
replica holds), `wait_queue` (the requests that wait for a token), `pending_report` (what the API
has reported since), `budget` (the loop around these).
"""
