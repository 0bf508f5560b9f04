"""The emulated world: meetings, recordings and their files, with a separate clock. No HTTP.

`clock` runs sandbox time. `behaviour` has every rule that may be changed, `faults` every fault that
can be provoked; `errors` are refusals. `meeting` has the values of meetings, and `meetings` their
changes. Likewise `recording` and `recordings`: a `recording_journal` keeps each status change, and
a `recording_index` finds recordings. `files` decides which files a recording has, `media` and
`webm` their content, and `file_content` makes its bytes. `request_log` collects the `log_entries`
with which tests compare the worker's events.
"""
