"""The only package that touches the insides of aiormq and pamqp. docs/adr/0019 has the savings.

The bytes' path, with the parts of this package in capitals:

    RabbitMQ ──▶ socket ──▶ FRAME_READER ──┬── deliveries ──▶ DELIVERY_DECODER ──▶ Consumer
                                           └── all else ────▶ aiormq: answers, confirmations, closes

    RabbitMQ ◀── socket ◀── aiormq's write queue ◀── BATCH_PUBLISH ◀── MESSAGE_ENCODER ◀── Publisher

Read `versions` first: the versions of the libraries that this package was tested with. Then read
`frame_reader` and `delivery_decoder` for what comes in, `message_encoder` and `batch_publish` for
what goes out, and `raw_channel` for the channel below that of aio-pika. `refusals` recognises a
virtual host that cannot be opened.
"""
