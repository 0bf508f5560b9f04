"""The duration of a WebM or MP4 file, from a stream of its bytes.

duration_reader.py  chooses the reader by the first bytes
element_reader.py   common to both: limited memory, skipped bodies
webm.py             EBML: Info/Duration, else the times of the blocks
mp4.py              mvhd or mehd, else the fragments
"""

from worker.archive.container.duration_reader import DurationReader

__all__ = ["DurationReader"]
