/** Records everybody in a meeting: node dist/start.js MEETING_ID COMMAND_ID */

import { execute } from "./publisher.js";

const [meetingId, commandId] = process.argv.slice(2);
const url = process.env["AMQP_URL"];
if (!meetingId || !commandId || !url) {
  throw new Error("usage: AMQP_URL=… node dist/start.js MEETING_ID COMMAND_ID");
}
const outcome = await execute(url, {
  type: "start_track_recording",
  id: commandId,
  meeting_id: meetingId,
  max_seconds: 7200,
  deadline: new Date(Date.now() + 60_000).toISOString(),
});
if (outcome.type === "command.succeeded.v1") {
  console.log(outcome.data.recording_ids.join(" "));
} else {
  console.error("not recorded:", outcome.data);
  process.exitCode = 1;
}
