"""Every setting of the worker: read once from the environment, checked, and documented.

Start with `settings`, the table of all environment variables. `variables` reads such a table and
reports every fault at once. `parsing` has one parser for each kind of value. `secret` holds tokens
and URLs that must not be shown, and follows their files. `apps` and `storage_profiles` read the two
files that settings can name. `documentation` renders the table for docs/reference/settings.md.
"""
