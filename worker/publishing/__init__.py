"""Publishes what the store has committed for the broker: events, in order per subject, and parked
commands.

relay.py            the loop over the outbox: read a page, publish it, note what was confirmed
event_publisher.py  one page: messages, rounds, confirmations, traces
failure_policy.py   when an event that the broker did not take is published again
reply_policy.py     which queues replies may go to
subject_order.py    which events of a page may be in flight at the same time
parked_relay.py     puts parked commands that are due back on the command queue
"""
