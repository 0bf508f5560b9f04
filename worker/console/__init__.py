"""`recording-worker console`: a page in the browser for operators, in a separate process.

`server` puts the parts together. `access` decides who may read and act, with `peers` for addresses.
`read_routes` and `action_routes` are the HTTP API, `queries` checks their parameters, and
`static_files` has the page itself. `state` reads the database in threads, and `shared_reads` lets
browsers share a read. `views` turns rows into JSON, `verdicts` and `archive_verdicts` into
sentences. `dead_letters` shows the queue of dead letters, and `actions` performs actions.

`broker_watch` receives events as `recording-worker tail` does and counts the queues. `snapshots`
reads the figures of the page *now* while a browser shows it, and asks a worker by `worker_probe`.
`live_stream` sends all of this to the browsers.

Nothing here writes to the database. The workers never import this package.
"""
