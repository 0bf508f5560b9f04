"""Services that tests, benchmarks and the demo run on: RabbitMQ and PostgreSQL on this machine.

`rabbitmq_launch` and `postgresql_launch` are the entries: they use a given server or start a
private one. `service` is the common interface; `rabbitmq` and `postgresql` add their own to it,
and `rabbitmq_local` (with its `port_mapper` and `rabbitmq_program`) and `postgresql_local` run a
private server. `rabbitmq_cluster` runs several nodes, `postgresql_standby` a standby of a server.
`pgbouncer` pools connections to PostgreSQL. `tinyproxy` is an HTTP proxy. `install` finds what is
not installed. `processes` and `ports` see to it that nothing outlives its owner and that no port is
used twice.
"""
