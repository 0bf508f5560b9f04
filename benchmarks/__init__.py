"""Compares the worker with the libraries that its users would use instead, in one run.

bench.py              all contestants do the same job: `python -m benchmarks.bench`
bench_environment.py  what they share: a broker, a database server, a subscriber
contestant_list.py    how each contestant is started; contestant_environ.py has its variables
contestants/          the contestants other than the worker, each as its users would write it
contestant_process.py one running contestant and its measurements
process_usage.py      its CPU and memory, from /proc
stub_process.py       the stub of the API in a separate process: stub_api.py
everyday.py           a few commands a second; everyday_report.py reports on them
tails.py              the slowest single commands
kills.py              the same job while `kill -9` repeatedly ends the contestant
worker_alone.py       the worker alone: a long history (finished_recordings.py), files, idle time
goals.py              the worker's goals, and whether a run met them
check_speed.py        a short run that fails if the worker has become much slower
results.py            the measurements as JSON; report.py, plots.py and colors.py show them

Three benchmarks have a package of their own: `tracking/` follows thousands of recordings,
`history/` measures the cost of millions of finished ones, and `archive/` copies files.
"""
