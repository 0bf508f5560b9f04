"""Finds the files of a recording in the shapes that the API gives `download_url`. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from worker.domain.file_names import media_of, name_in_url
from worker.domain.snapshot import FoundFile


def found_files(download_url: object, output_file_name: str | None) -> tuple[FoundFile, ...]:
    """The files in `download_url`, a value decoded from JSON.

    It may be null, one URL, a list of layers, or an object whose `links` is such a list. Each layer
    maps file names to `{"download_url": …}`, or directly to a URL. The file of a single URL is
    called `output_file_name`, or like the end of the URL if that is missing or a template. A named
    file without a URL is listed, although it cannot be downloaded yet. Other shapes are skipped.

    No two files have the same name: a name that is listed twice is one file, even with two
    different URLs.
    """
    if isinstance(download_url, str):
        return (_only_file(download_url, output_file_name),) if download_url else ()
    if isinstance(download_url, dict):
        download_url = download_url.get("links")
    layers = download_url if isinstance(download_url, list) else []
    return _each_once(file for layer in layers for file in _files_of_layer(layer))


def _each_once(listed: Iterable[FoundFile]) -> tuple[FoundFile, ...]:
    files: dict[str, FoundFile] = {}
    for file in listed:
        files[file.name] = _merged(files.get(file.name, file), file)
    return tuple(files.values())


def _merged(first: FoundFile, other: FoundFile) -> FoundFile:
    """The first of two entries of one file, with missing fields taken from the other one."""
    if first is other:
        return first
    return msgspec.structs.replace(
        first,
        layer=first.layer or other.layer,
        download_url=first.download_url or other.download_url,
        peer_id=first.peer_id or other.peer_id,
        custom_participant_id=first.custom_participant_id or other.custom_participant_id,
    )


def _only_file(url: str, output_file_name: str | None) -> FoundFile:
    plain = output_file_name if output_file_name and "{{" not in output_file_name else None
    name = plain or name_in_url(url) or "recording"
    return FoundFile(name=name, media=media_of(name), download_url=url)


def _files_of_layer(layer: object) -> Iterator[FoundFile]:
    urls = layer.get("download_urls") if isinstance(layer, dict) else None
    if not isinstance(layer, dict) or not isinstance(urls, dict):
        return
    for name, entry in urls.items():
        fields = entry if isinstance(entry, dict) else {"download_url": entry}
        yield FoundFile(
            name=name.replace("\x00", ""),  # as in the store: else another file
            media=media_of(name, otherwise="audio"),
            layer=_text(layer.get("layer_name")),
            download_url=_text(fields.get("download_url")),
            peer_id=_text(fields.get("peer_id")),
            custom_participant_id=_text(fields.get("custom_participant_id")),
        )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
