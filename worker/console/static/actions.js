// Actions: each asks the console what it would do, shows that, and acts when the person agrees.

import { get, post } from "./api.js";
import { confirmAction } from "./dialog.js";
import { el, replace } from "./dom.js";
import { idLink } from "./format.js";

async function ask(action, texts) {
  const { lines } = await post("/api/actions/preview", action);
  return confirmAction({
    ...texts,
    lines,
    act: async () => {
      const done = await post("/api/actions", action);
      return [...done.lines, ...following(done.command_ids)];
    },
  });
}

const MAX_FOLLOWED = 8;

// What has become of the commands that the action sent, while its dialog is open.
function following(commandIds) {
  if (commandIds.length === 1) {
    const [only] = commandIds;
    return [outcomeOf(only), el("a", { href: `/commands/${encodeURIComponent(only)}` }, "Show the command's story")];
  }
  const followed = commandIds.slice(0, MAX_FOLLOWED).map((id) => [idLink("commands", id), outcomeOf(id)]);
  const more = commandIds.length - followed.length;
  return more ? [...followed, el("a", { href: "/commands" }, `Show the outcomes of ${more} more`)] : followed;
}

const SOON_MILLISECONDS = 1000;
const LATER_MILLISECONDS = 5000;

// What becomes of a command: a line that follows it to its outcome while it is on the page.
function outcomeOf(commandId) {
  const line = el("span", { class: "outcome wait" }, "No worker has taken it yet.");
  const began = Date.now();
  const look = async () => {
    if (!line.isConnected) return;
    const found = await get(`/api/command/${encodeURIComponent(commandId)}`).catch(() => null);
    if (found) {
      const { level, text } = found.verdict;
      const said = found.outcome ? `Outcome: ${found.outcome}. ${text}` : text;
      if (said !== line.textContent) replace(line, said);
      line.className = `outcome ${level}`;
    }
    if (!found?.outcome) setTimeout(look, Date.now() - began < 60_000 ? SOON_MILLISECONDS : LATER_MILLISECONDS);
  };
  setTimeout(look, SOON_MILLISECONDS / 4);
  return line;
}

export function stopRecording(view) {
  return ask({ type: "stop", recording_id: view.recording_id }, { heading: "Stop this recording?", confirm: "Stop the recording", danger: true });
}

export function archiveAgain(recordingId) {
  return ask({ type: "archive", recording_id: recordingId }, { heading: "Archive this recording again?", confirm: "Archive again" });
}

export function replayLetters(letters, newId) {
  const many = letters.length > 1;
  return ask({ type: "replay", letters, new_id: newId }, {
    heading: newId ? `Replay ${many ? `${letters.length} letters under new ids` : "this letter under a new id"}?` : `Replay ${many ? `${letters.length} letters` : "this letter"}?`,
    confirm: newId ? "Replay with new id" : "Replay",
  });
}

export function dropLetters(letters) {
  const many = letters.length > 1;
  return ask({ type: "drop", letters }, { heading: `Drop ${many ? `${letters.length} letters` : "this letter"} permanently?`, confirm: many ? `Drop ${letters.length} letters` : "Drop the letter", danger: true });
}
