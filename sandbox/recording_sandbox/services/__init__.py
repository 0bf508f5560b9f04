"""Services for tests, benchmarks and the demo: RabbitMQ and PostgreSQL on this machine.

`rabbitmq_launch` and `postgresql_launch` are the entries: they use a given server or start a
private one. `service` is the common interface, which `rabbitmq` and `postgresql` extend.
`rabbitmq_local` (with its `port_mapper` and `rabbitmq_program`) and `postgresql_local` run a
private server. `rabbitmq_cluster` runs several nodes, `postgresql_standby` a standby of a server.
`pgbouncer` pools connections to PostgreSQL. `tinyproxy` is an HTTP proxy. `install` installs
missing programs. `processes` ensures that no process outlives its owner, and `ports` that no port
is used twice.
"""
