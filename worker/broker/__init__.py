"""Speaks with RabbitMQ: the topology, commands in, events and copies out, and settling.

Consuming and publishing have a connection each, so that acknowledgements go on while a memory alarm
blocks publishers. No other package imports aio-pika.

Read in this order. `topology` has the exchanges and queues, `messages` the values that cross the
package's border, `connection` one connection that is kept up, to one of the hosts of `broker_url`.
A command comes in by `consumer`, which asks `headers` what of its headers to believe. `settlement`
publishes its copy for a retry or the dead-letter queue: `message_copy` makes it of the encoded
`properties`, and `kept_copy` makes one that the store can keep. `acknowledger` then acknowledges
it. Everything goes out by `publisher`, and `confirmations` reads the broker's answers. `deaths`
reads why the broker dead-lettered a message. `tracing_attributes` describes messages for traces.
`aiormq/` touches the insides of the AMQP library, and `admin/` has what only the command-line tools
need.
"""
