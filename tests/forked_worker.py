"""The worker process of the demo, forked: it is up in a tenth of the time."""

from collections.abc import Mapping

from recording_sandbox.demo.worker_process import ChildProcess, WorkerProcess
from tests.forked_process import FORK_SERVER


class ForkedWorkerProcess(WorkerProcess):
    """`python -m <module>`, forked where that is possible from a process that has imported it."""

    async def _launch(self, output: int, environ: Mapping[str, str]) -> ChildProcess:
        if FORK_SERVER is None:
            return await super()._launch(output, environ)
        return FORK_SERVER.fork_in_loop(
            self._module,
            environ=environ,
            directory=self.directory,
            stdout=output,
            stderr=output,
        )
