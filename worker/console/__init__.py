"""`recording-worker console`: a page in the browser for operators, in a process of its own.

`server` puts the parts together. `access` decides who may read and act, `routes` has the HTTP API,
and `static_files` the page itself. `state` reads the database in threads, `views` and `verdicts`
turn rows into JSON and into sentences. `broker_watch` receives events as `tail` does and counts
the queues, `snapshots` reads the figures of the page *now* while somebody looks at it, and
`live_stream` sends both to the browsers.

Nothing here writes to the database. The workers never import this package.
"""
