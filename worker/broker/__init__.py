"""Connects to RabbitMQ: the topology, commands in, events and copies out, and settlements.

Consuming and publishing have one connection each, so that acknowledgements continue while a memory
alarm blocks publishers. No other package imports aio-pika.

Read in this order. `topology` has the exchanges and queues, and `messages` the types of this
package's interface. `connection` keeps one connection to one of the hosts of `broker_url`, and
`connect_hints` says what may be wrong when none can be opened. `consumer` receives commands, and
`topology_monitor` notices what is missing meanwhile. `headers` decides which headers of a command
to trust. `settlement` publishes the copy for a retry or the dead-letter queue. `message_copy` makes
it from the encoded `properties`, and `kept_copy` makes one for the store. `acknowledger` then
acknowledges the original. `publisher` publishes all messages, and `confirmations` reads the
broker's answers. `deaths` reads why the broker dead-lettered a message. `tracing_attributes`
describes messages for traces. Only `aiormq/` uses the internals of the AMQP library. Only the
command-line tools use `admin/`.
"""
