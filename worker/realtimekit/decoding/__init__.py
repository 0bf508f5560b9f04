"""From JSON bodies to values. No part of a body is trusted to have its documented form.

`fields` (single fields), `repair` (bodies that are not JSON in one value), `statuses`, `kinds`,
`recordings`, `sessions`, `resources` (participants, webhook registrations), `webhooks` (the bodies
that the API sends).
"""
