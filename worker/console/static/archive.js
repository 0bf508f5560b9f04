// The archive: what waits to be copied, the nearest expiry first, what was lost, and what is copied.

import { get } from "./api.js";
import { el, replace } from "./dom.js";
import { ago, bytes, chip, idLink, middle, plural } from "./format.js";
import { empty, panel, table, throttled, title, verdicts } from "./parts.js";

export async function show(root, context) {
  let drawn = "";
  const draw = async () => {
    const found = await get("/api/archive", context);
    const text = JSON.stringify(found);
    if (text !== drawn) replace(root, ...page(found));
    drawn = text;
  };
  await draw();
  const refresh = throttled(() => draw().catch(() => {}), 2500);
  return { on: (name) => (name === "event" || name === "now") && refresh(), leave: refresh.cancel };
}

function page(found) {
  return [
    title("Archive", el("p", { class: "headline" }, found.queued ? `${plural(found.queued, "file")} to copy.` : "Nothing waits to be copied.")),
    verdicts(sentences(found)),
    panel("To copy, the nearest expiry first", found.queued_files.length ? el("div", { class: "scroll" }, archiveTable("Files to copy", found.queued_files)) : empty("No file waits.")),
    panel("Given up", found.failed_files.length ? el("div", { class: "scroll" }, archiveTable("Files given up", found.failed_files)) : empty("No file was given up.")),
    panel("Copied last", found.copied_files.length ? el("div", { class: "scroll" }, copies(found.copied_files)) : empty("No file was copied yet.")),
  ];
}

function copies(files) {
  const shown = table("Files that were copied last", [
    ["Recording", (file) => idLink("recordings", file.recording_id)],
    ["File", (file) => el("span", { class: "id", title: file.archived.archive_url }, middle(file.file_name, 80)), "wide"],
    ["App", (file) => file.app, "minor word"],
    ["Size", (file) => bytes(file.archived.size_bytes), "end"],
    ["Tries", (file) => file.attempts, "end"],
    ["Archived", (file) => ago(file.archived_at), "end"],
  ], (file) => `${file.recording_id}/${file.file_index}`);
  shown.update(files);
  return shown.element;
}

function sentences(found) {
  const lines = [];
  if (found.failed) lines.push({ level: "bad", text: `${plural(found.failed, "file")} could not be archived before the URL expired.` });
  if (found.refused) lines.push({ level: "bad", text: `The storage refuses ${plural(found.refused, "file")}. They stay in the queue until it takes them.` });
  if (found.manifests_due) lines.push({ level: "wait", text: `${plural(found.manifests_due, "manifest")} to write.` });
  if (!lines.length) lines.push({ level: "good", text: found.queued ? "Every file that waits can still be downloaded." : "Every file that came while the archive was on is copied." });
  return lines;
}

export function archiveTable(label, files, { recording = true } = {}) {
  const isCopied = files.some((file) => file.archived);
  const shown = table(label, [
    ["State", (file) => chip(file.state)],
    ...(recording ? [["Recording", (file) => idLink("recordings", file.recording_id)]] : []),
    ["File", (file) => el("span", { class: "id", title: file.file_name }, middle(file.file_name))],
    ...(isCopied ? [["Size", (file) => (file.archived ? bytes(file.archived.size_bytes) : "–"), "end"]] : []),
    ["Tries", (file) => file.attempts, "end"],
    ...(isCopied ? [["Archived", (file) => ago(file.archived_at, "not yet"), "end"]] : []),
    ["URL expires", (file) => ago(file.expires_at), "end"],
    [isCopied ? "Where, or why not" : "Why not yet", (file) => (file.archived ? el("span", { class: "id" }, file.archived.archive_url) : file.last_error ? el("span", { class: "bad-text" }, `${file.last_error.code}: ${file.last_error.message}`) : ""), "wide"],
  ], (file) => `${file.recording_id}/${file.file_index}`);
  shown.update(files);
  return shown.element;
}
