"""The only package that uses the internals of aiormq and pamqp. docs/adr/0019 has the savings.

The path of the bytes, with the modules of this package in capitals:

    RabbitMQ ──▶ socket ──▶ FRAME_READER ──┬── deliveries ──▶ DELIVERY_DECODER ──▶ Consumer
                                           └── all else ────▶ aiormq: answers, confirmations, closes

    RabbitMQ ◀── socket ◀── aiormq's write queue ◀── BATCH_PUBLISH ◀── MESSAGE_ENCODER ◀── Publisher

Read `versions` first: the versions of the libraries that this package was tested with.
`frame_reader` and `delivery_decoder` handle input, `message_encoder` and `batch_publish` output.
`raw_channel` is the channel below that of aio-pika. `closing` lets a connection forget its closed
channels. `refusals` recognises a virtual host that cannot be opened.
"""
