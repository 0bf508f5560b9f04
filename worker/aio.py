"""Locks by name: those who name the same key take turns, in the order in which they asked."""

import asyncio
from types import TracebackType
from typing import Self


class KeyedLocks:
    """One fair lock for each key that somebody holds or waits for; none for all others."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: dict[str, int] = {}

    def hold(self, *keys: str) -> "Held":
        """What holds all keys within `async with`.

        Ask for them in one order everywhere: they are taken one by one.
        """
        return Held(self, keys)

    async def take(self, key: str) -> None:
        """Return when this key is held; nobody holds it for longer than until `give`."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        self._users[key] = self._users.get(key, 0) + 1
        try:
            await lock.acquire()
        except BaseException:
            self._leave(key)
            raise

    def give(self, key: str) -> None:
        """Let the next one hold it."""
        self._locks[key].release()
        self._leave(key)

    def _leave(self, key: str) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._locks[key], self._users[key]


class Held:
    """Some keys, held within `async with`. A class, for it is entered with every command."""

    def __init__(self, locks: KeyedLocks, keys: tuple[str, ...]) -> None:
        self._locks = locks
        self._keys = keys
        self._taken = 0

    async def __aenter__(self) -> Self:
        try:
            for key in self._keys:
                await self._locks.take(key)
                self._taken += 1
        except BaseException:
            self._give_all()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_all()

    def _give_all(self) -> None:
        for key in reversed(self._keys[: self._taken]):
            self._locks.give(key)
