"""Tests that every subscriber among the examples passes, in any language."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from recording_sandbox.waiting import eventually
from tests.e2e.worker_environment import WorkerEnvironment
from tests.examples.file_server import CONTENT, CUT, FileServer, SlowFileServer
from tests.examples.subscriber_checks import (
    DEAD_LETTERS,
    QUEUE,
    SubscriberExample,
    announce_again,
    downloads,
    file_event,
    has_ready,
    is_stored,
    message_count,
    publish,
    publish_file,
    record_a_meeting,
    sizes,
)
from tests.examples.virtual_host import VirtualHost
from tests.fault.tcp_proxy import TcpProxy


class SubscriberTests:
    """Inherit it in a class whose name begins with Test."""

    example: ClassVar[SubscriberExample]
    impatient: ClassVar[SubscriberExample | None] = None
    """The example with shorter pauses, if it gives events back to the queue slowly."""

    user: ClassVar[str]
    """The user in `examples/permissions.json` whose permissions it has."""

    async def test_each_owner_gets_a_file_once(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
    ) -> None:
        """Files arrive complete and with their owners, and repeated events change nothing."""
        amqp_url, folder = virtual_host.user(self.user), tmp_path / "files"
        async with self.example.running(amqp_url, folder) as process:
            files = await record_a_meeting(environment)
            owners = {file.file_name: file.user_id for file in files}
            await eventually(lambda: self.example.owners(folder) == owners)
            await announce_again(environment, files)
            await eventually(lambda: has_ready(amqp_url, QUEUE, 0))
            assert await process.terminate() == 0
        stored = folder / files[0].recording_id
        assert {path.name for path in stored.iterdir() if path.suffix != ".json"} == owners.keys()
        assert all(path.stat().st_size > 0 for path in stored.iterdir())
        assert all(downloads(environment, name) == 1 for name in owners)
        assert await has_ready(amqp_url, QUEUE, 0)

    async def test_a_kill_before_the_acknowledgement_loses_nothing(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
    ) -> None:
        """The broker never gets the first acknowledgement. The file is downloaded only once."""
        amqp_url, folder = virtual_host.amqp_url, tmp_path / "files"
        port = urlsplit(amqp_url).port or 0
        async with TcpProxy(port) as link, FileServer(link.black_hole) as files:
            async with self.example.running(
                amqp_url.replace(f":{port}/", f":{link.port}/"), folder
            ) as first:
                file = await publish_file(amqp_url, download_url=files.url)
                await eventually(
                    lambda: self.example.owners(folder) == {file.file_name: file.user_id}
                )
                await first.kill()
            link.cut()
            await eventually(lambda: has_ready(amqp_url, QUEUE, 1))
            async with self.example.running(amqp_url, folder) as second:
                await eventually(lambda: has_ready(amqp_url, QUEUE, 0))
                assert await second.terminate() == 0
        assert await has_ready(amqp_url, QUEUE, 0)
        assert (folder / file.recording_id / file.file_name).read_bytes() == CONTENT
        assert files.requests == 1

    async def test_poison_is_dead_lettered(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
    ) -> None:
        """A message that can never be handled waits for a person, and does not stop later
        messages."""
        amqp_url, folder = virtual_host.amqp_url, tmp_path / "files"
        dead = await message_count(amqp_url, DEAD_LETTERS)
        async with FileServer() as files, self.example.running(amqp_url, folder) as process:
            await publish(amqp_url, b"not JSON")
            await publish(amqp_url, b'{"specversion": "1.0", "type": "recording.file_ready.v9"}')
            await publish_file(amqp_url, download_url=files.url, file_name="../../outside.webm")
            await publish_file(amqp_url, download_url=files.missing_url)
            good = await publish_file(amqp_url, download_url=files.url)
            await eventually(lambda: has_ready(amqp_url, DEAD_LETTERS, dead + 4))
            await eventually(lambda: self.example.owners(folder) == {good.file_name: good.user_id})
            assert await process.terminate() == 0
        assert await has_ready(amqp_url, QUEUE, 0)

    async def test_two_downloads_of_a_file_leave_it_whole(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
    ) -> None:
        """An event is delivered again while its file is downloaded, and the second download is
        cut."""
        amqp_url, folder = virtual_host.amqp_url, tmp_path / "files"
        example = self.impatient or self.example
        async with SlowFileServer() as files, example.running(amqp_url, folder) as process:
            body, file = file_event(download_url=files.url)
            stored = folder / file.recording_id
            await publish(amqp_url, body)
            await eventually(lambda: any(size > SlowFileServer.SECOND for size in sizes(stored)))
            await publish(amqp_url, body)
            await eventually(
                lambda: any(0 < size <= SlowFileServer.SECOND for size in sizes(stored))
            )
            files.finish_first.set()
            await eventually(lambda: example.owners(folder) == {file.file_name: file.user_id})
            assert (stored / file.file_name).read_bytes() == SlowFileServer.CONTENT
            files.cut_second.set()
            assert await process.terminate() == 0
        assert (stored / file.file_name).read_bytes() == SlowFileServer.CONTENT
        assert [path.name for path in stored.iterdir() if path.suffix == ".part"] == []

    async def test_passing_errors_of_a_server_are_not_dead_lettered(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
    ) -> None:
        """A server that is slow, busy or broken for a moment costs no file."""
        amqp_url, folder = virtual_host.amqp_url, tmp_path / "files"
        example = self.impatient or self.example
        dead = await message_count(amqp_url, DEAD_LETTERS)
        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(FileServer(failures=1, status=status))
                for status in (408, 429, 503)
            ]
            async with example.running(amqp_url, folder) as first:
                files = [
                    await publish_file(amqp_url, download_url=server.url) for server in servers
                ]
                await eventually(lambda: all(server.requests for server in servers))
                assert await first.terminate() == 0
            async with example.running(amqp_url, folder) as second:
                await eventually(lambda: all(is_stored(folder, file) for file in files))
                assert await second.terminate() == 0
        assert await has_ready(amqp_url, DEAD_LETTERS, dead)

    async def test_no_log_line_has_a_download_url(
        self, virtual_host: VirtualHost, environment: WorkerEnvironment, tmp_path: Path
    ) -> None:
        """Anyone who reads such a line could download the recording."""
        amqp_url, folder = virtual_host.amqp_url, tmp_path / "files"
        example = self.impatient or self.example
        async with FileServer(failures=1) as busy, FileServer(failures=1, status=CUT) as broken:
            servers = (busy, broken)
            async with example.running(amqp_url, folder) as first:
                files = [
                    await publish_file(amqp_url, download_url=f"{server.url}?signature=secret")
                    for server in servers
                ]
                await eventually(lambda: all(server.requests for server in servers))
                assert await first.terminate() == 0
                assert "secret" not in first.log.read_text()
            async with example.running(amqp_url, folder) as second:
                await eventually(lambda: all(is_stored(folder, file) for file in files))
                assert await second.terminate() == 0
                assert "secret" not in second.log.read_text()
