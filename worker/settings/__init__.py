"""Every setting of the worker: read once from the environment, checked, and documented.

Start with `settings`, the table of all environment variables. `variables` reads such a table and
reports every fault at once. `parsing` has one parser for each kind of value; `amqp_url` and
`database_url` check theirs. `secret` holds tokens and URLs that must not be shown, and follows
their files. `apps` and `storage_profiles` read the two files that settings can name; `small_files`
bounds them, and `json_files` decodes them. `archive` has the settings of the archive, and
`archive_reader` those of tools that read it. `otel` and `otel_checks` check the variables of
OpenTelemetry, `authorities` and `proxies` those of TLS and of proxies. `trusted_authorities`
follows a changed file of authorities, and `proxy_transport` connects through a proxy, for the API
and for downloads.
"""
