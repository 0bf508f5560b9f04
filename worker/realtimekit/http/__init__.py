"""An httpx transport over HTTP/1.1 connections that are kept open, parsed by httptools.

`transport` is the httpx side (connections, limits, TLS), `protocol` one connection, and
`name_lookups` finds the addresses of a host. `content` unpacks bodies. `proxy` is the slower
transport through a proxy.
"""
