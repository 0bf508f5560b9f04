"""A private RabbitMQ looks for its modules where they may be, and nowhere else."""

from pathlib import Path

from sandbox.services.rabbitmq_program import without_plugins


def laid_out(home: Path, *libraries: str) -> Path:
    (home / "sbin").mkdir(parents=True)
    (home / "sbin/rabbitmq-server").touch()
    for name in libraries:
        (home / "plugins" / name / "ebin").mkdir(parents=True)
    return home / "sbin"


def test_what_every_node_needs_is_kept_and_plugins_are_left_out(tmp_path: Path) -> None:
    needed = {"rabbit-4.0", "rabbitmq_prelaunch-4.0", "ra-2.0"}
    scripts = laid_out(tmp_path / "there", *needed, "rabbitmq_management-4.0")

    environ = without_plugins(scripts, tmp_path / "lean")

    assert {one.name for one in (tmp_path / "lean/plugins").iterdir()} == needed
    assert (Path(environ["RABBITMQ_SCRIPTS_DIR"]) / "rabbitmq-server").exists()


def test_it_may_be_made_again_in_the_same_place(tmp_path: Path) -> None:
    scripts = laid_out(tmp_path / "there", "rabbit-4.0", "rabbitmq_prelaunch-4.0")
    first = without_plugins(scripts, tmp_path / "lean")

    assert without_plugins(scripts, tmp_path / "lean") == first


def test_a_program_that_is_laid_out_otherwise_is_left_as_it_is(tmp_path: Path) -> None:
    scripts = laid_out(tmp_path / "there", "rabbit.ez")

    assert without_plugins(scripts, tmp_path / "lean") == {}
    assert not (tmp_path / "lean").exists()
