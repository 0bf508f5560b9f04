"""RabbitMQ: topology, consuming, settling, publishing. The only room that speaks aio-pika.

Consuming and publishing have a connection each, so that acknowledgements keep flowing while a
memory alarm blocks publishers.
"""
