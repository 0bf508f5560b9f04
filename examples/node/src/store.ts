/** Keeps files in a folder, and next to each file its event in JSON. */

import { randomUUID } from "node:crypto";
import { createWriteStream, existsSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import type { RecordingFileReadyV1 } from "./messages/recording.file_ready.v1.js";
import type { RecordingFileUrlRenewedV1 } from "./messages/recording.file_url_renewed.v1.js";

export type FileEvent = RecordingFileReadyV1 | RecordingFileUrlRenewedV1;

/** The event can never be handled. A person has to look at it. */
export class PoisonError extends Error {}

const FOLDER = process.env["RECORDINGS_FOLDER"] || "recordings";
const MAX_BYTES = 5 * 2 ** 30;
const PASSING = [408, 429]; // of 4xx, only these may end by waiting

/** Returns when the file and its owner are on disk. A repeat of an event changes nothing. */
export async function store(event: FileEvent): Promise<void> {
  const file = event.data;
  if (file.download_url === null) return; // the file is in your own storage
  if (basename(file.file_name) !== file.file_name) {
    throw new PoisonError("the name of the file leads out of its folder");
  }
  const path = join(FOLDER, file.recording_id, file.file_name);
  if (existsSync(`${path}.json`)) return;
  await mkdir(dirname(path), { recursive: true });
  await download(file.download_url, path);
  await replace(`${path}.json`, Readable.from([JSON.stringify(file)]));
}

async function download(url: string, path: string): Promise<void> {
  const response = await fetch(url);
  if (response.status >= 400 && response.status < 500 && !PASSING.includes(response.status)) {
    throw new PoisonError(`HTTP ${response.status}`); // 403: the URL has expired, see README
  }
  if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
  // The body fails if the connection ends before the last byte.
  await replace(path, Readable.fromWeb(response.body as ReadableStream));
}

/**
 * Writes a file in one step: a kill leaves no file, or the whole one. Each call writes a part of its
 * own, because two handlers may have the same file.
 */
async function replace(path: string, content: Readable): Promise<void> {
  const part = join(dirname(path), `.${randomUUID()}.part`);
  try {
    await pipeline(content, limited, createWriteStream(part));
    await sync(part);
    await rename(part, path);
    await sync(dirname(path));
  } finally {
    await rm(part, { force: true });
  }
}

async function* limited(content: AsyncIterable<Uint8Array | string>) {
  let size = 0;
  for await (const chunk of content) {
    size += chunk.length;
    if (size > MAX_BYTES) throw new PoisonError(`the file has more than ${MAX_BYTES} bytes`);
    yield chunk;
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
