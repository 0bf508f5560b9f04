"""A worker that cannot work logs the reason and ends."""

from pathlib import Path

import aio_pika

from recording_sandbox.api.server import Sandbox
from recording_sandbox.demo.worker_process import WorkerProcess
from recording_sandbox.services.rabbitmq import RabbitMQNode
from tests.e2e.worker_environment import open_worker_environment, settings


async def test_a_queue_of_another_type_stops_the_start_with_an_error_that_names_it(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    connection = await aio_pika.connect(rabbitmq.amqp_url)
    async with connection, Sandbox() as sandbox:
        channel = await connection.channel()
        queue = await channel.declare_queue(f"{names_prefix}.commands", durable=True)
        worker = WorkerProcess(settings(rabbitmq.amqp_url, names_prefix, sandbox), tmp_path)
        await worker.start()
        assert await worker.ended() == 1
        last_line = worker.log_tail().splitlines()[-1]
        assert last_line.startswith("Error: ")
        assert f"{names_prefix}.commands" in last_line
        await queue.delete()


async def test_a_missing_topology_stops_the_start_of_a_worker_that_only_verifies_it(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with Sandbox() as sandbox:
        known = settings(rabbitmq.amqp_url, names_prefix, sandbox, WORKER_TOPOLOGY="verify")
        worker = WorkerProcess(known, tmp_path)
        await worker.start()
        assert await worker.ended() == 1
        assert f"{names_prefix}.commands" in worker.log_tail()


async def test_all_wrong_settings_are_listed_by_name(tmp_path: Path) -> None:
    wrong = {
        "AMQP_URL": "http://127.0.0.1/",
        "REALTIMEKIT_ACCOUNT_ID": "account",
        "LOG_LEVEL": "loud",
        "WORKER_PREFETCH": "many",
        "WORKER_PREFECTH": "10",
    }
    worker = WorkerProcess(wrong, tmp_path)
    await worker.start()
    assert await worker.ended() == 2
    log = worker.log_tail()
    assert "Traceback" not in log
    faulty = {"REALTIMEKIT_APP_ID", "REALTIMEKIT_API_TOKEN", *wrong} - {"REALTIMEKIT_ACCOUNT_ID"}
    assert not [name for name in faulty if name not in log]
    assert "REALTIMEKIT_ACCOUNT_ID" not in log


async def test_a_second_process_on_the_same_sqlite_file_ends_with_an_error_that_names_the_setting(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "link.db").symlink_to("state.db")
    async with open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path) as environment:
        for path in ("state.db", "link.db"):
            url = {"DATABASE_URL": f"sqlite:///{tmp_path / path}"}
            known = settings(rabbitmq.amqp_url, names_prefix, environment.sandbox, **url)
            second = WorkerProcess(known, tmp_path / "second")
            await second.start()
            assert await second.ended() == 1
            (line,) = second.log_tail().splitlines()[-1:]
            assert line.startswith("Error: DATABASE_URL: another worker uses ")
            assert "Traceback" not in second.log_tail()
        await environment.start()
        await environment.outcome("start-1")


async def test_a_worker_of_another_app_does_not_end_the_recordings_of_the_former_one(
    rabbitmq: RabbitMQNode, names_prefix: str, tmp_path: Path
) -> None:
    async with open_worker_environment(rabbitmq.amqp_url, names_prefix, tmp_path) as environment:
        await environment.start()
        await environment.outcome("start-1")
        await environment.worker.stop()
        known = settings(
            rabbitmq.amqp_url, names_prefix, environment.sandbox, REALTIMEKIT_APP_ID="another"
        )
        mistaken = WorkerProcess(known, tmp_path)

        await mistaken.start()

        assert await mistaken.ended() == 2
        last_line = mistaken.log_tail().splitlines()[-1]
        assert last_line.startswith("Error: REALTIMEKIT_APP_ID")
        assert "1 of its recordings" in last_line
