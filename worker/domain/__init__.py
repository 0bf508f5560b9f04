"""Values and rules, without I/O and without a clock: what a recording is and how it changes.

A start command creates a recording at the API. Every later answer, list entry and webhook becomes a
`RecordingSnapshot` inside an `Observation`. `apply_observation` computes from the observation and
the known `Recording` a `Transition`: the new state and its events. A recording goes from INVOKED
through RECORDING, PAUSED and UPLOADING to UPLOADED or ERRORED. Then its files are announced, and it
completes. If the API reports nothing more, timeouts end the recording.

    errors.py                what can fail, and how the worker reacts
    snapshot.py              the API's description of a recording, its files, its participants
    recording.py             the known state of a recording; one observation of it
    transitions.py           observation + recording = new state and events
    accepted_status.py       which observations count, and the status after one
    recording_events.py      the events that a transition produces
    file_names.py            the parts of a file name
    found_files.py           the files in an answer of the API
    composite_files.py       keeps the announced name of a composite's file
    own_storage.py           the file that a start sent to the customer's own storage
    track_files.py           the owner of each file
    attendance.py            who was in the session, and who of them has no file
    file_search.py           whether the list of files is complete, and whether it has settled
    listed_files.py          the files that a list or a webhook shows, so that no read is needed
    url_renewals.py          which files have a new URL
    timeouts.py              how long each status may last
    max_duration.py          when to stop a recording whose start limits its duration
    read_policy.py           when to read a single recording next
    timeout_observations.py  the observations with which the worker itself ends a recording
    meeting_participants.py  the people whom a start asks to record
    command_keys.py          what a command excludes, waits for and passes on to its recordings
    command_digest.py        whether two messages request the same thing
    outcomes.py              how a command ended, as event data
    event_envelopes.py       event ids, routing and CloudEvents JSON
    archive.py               the state of each file's copy, and the content of a manifest
    archive_events.py        the events of the archive
    archive_keys.py          the names of objects in the archive
    storage_url.py           the URL of the archive
    short_ids.py             short forms of ids, for users
    escaping.py              characters that could deceive the reader of a text
    hosts.py                 URLs that may name several hosts
    tls_faults.py            why a TLS connection was not opened
    times.py, rate.py        epoch seconds to datetimes; a limit on requests over time
"""
