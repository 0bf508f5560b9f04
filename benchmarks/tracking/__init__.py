"""Thousands of live recordings under the real limits of the API: the delay of their events.

bench.py        follows them in every way: `python -m benchmarks.tracking.bench`
scenario.py     one scenario, from its beginning to its figures
mass.py         the scenario in which all recordings end together
polled.py       the naive way to compare with: a process (naive.py) polls each recording
measuring.py    the common parts of the scenarios
environment.py  the emulated API, a subscriber and a publisher; fleet.py has the workers
delays.py       the delays, from the API's request log and the received events
results.py      the results as JSON; report.py shows them
"""
