"""The emulated world: meetings, recordings and their files on a clock of its own. No HTTP.

`clock` runs sandbox time. `behaviour` has every rule that may be changed, `faults` every trouble
that can be provoked; `errors` refuse. `meeting` has the values and `meetings` what happens to them.
Likewise `recording` and `recordings`: a `recording_journal` keeps each status change, and a
`recording_index` finds recordings. `files` decides which files a recording has, `media` and `webm`
their content, and `file_content` makes its bytes. `request_log` collects the `log_entries` against
which tests and campaigns account.
"""
