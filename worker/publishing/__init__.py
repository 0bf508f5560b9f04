"""Publishes committed work to the broker: events, in order per subject, and parked commands.

relay.py            the loop over the outbox: read a page, publish it, note what was confirmed
event_publisher.py  one page: messages, rounds, confirmations, traces
failure_policy.py   when to publish an event again that the broker did not accept
reply_policy.py     to which queues replies may go
subject_order.py    which events of a page may be in flight at the same time
parked_relay.py     publishes due parked commands to the command queue
"""
