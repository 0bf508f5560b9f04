// Actions: each asks the console what it would do, shows that, and acts when the person agrees.

import { post } from "./api.js";
import { confirmAction } from "./dialog.js";
import { el } from "./dom.js";

async function ask(action, texts) {
  const { lines } = await post("/api/actions/preview", action);
  return confirmAction({
    ...texts,
    lines,
    act: async () => {
      const done = await post("/api/actions", action);
      const story = done.command_id && el("a", { href: `/commands/${encodeURIComponent(done.command_id)}` }, "Show the command's story");
      return story ? [...done.lines, story] : done.lines;
    },
  });
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
  return ask({ type: "drop", letters }, { heading: `Drop ${many ? `${letters.length} letters` : "this letter"} for good?`, confirm: many ? `Drop ${letters.length} letters` : "Drop the letter", danger: true });
}
