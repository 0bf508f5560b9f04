/** Publishes a command to recording-worker and waits for its outcome. */

import { randomUUID } from "node:crypto";
import { connect, type ConfirmChannel } from "amqplib";
import type { CommandExpiredV1 } from "./messages/command.expired.v1.js";
import type { CommandFailedV1 } from "./messages/command.failed.v1.js";
import type { CommandRejectedV1 } from "./messages/command.rejected.v1.js";
import type { CommandSucceededV1 } from "./messages/command.succeeded.v1.js";
import type { StartTrackRecording } from "./messages/start_track_recording.js";

type Outcome = CommandSucceededV1 | CommandRejectedV1 | CommandExpiredV1 | CommandFailedV1;
type Command = StartTrackRecording & { id: string }; // add the types of your other commands

const ATTEMPT_MS = 60_000;
// ACCESS_REFUSED, NOT_FOUND and NOT_ALLOWED, as amqplib writes them: waiting does not help.
const PERMANENT = /: (403|404|530) \(/;

/**
 * Publishes a command and returns its outcome. After a lost connection it publishes the command
 * again. That is safe because the worker executes an id once. The command's `deadline` limits the
 * wait. An id that another command had before, a wrong password, a missing exchange and a missing permission are errors at once.
 */
export async function execute(url: string, command: Command): Promise<Outcome> {
  for (;;) {
    try {
      return await attempt(url, command);
    } catch (error) {
      const stays = error instanceof UnroutableError || error instanceof IdConflictError;
      if (stays || PERMANENT.test(`${error}`)) throw error;
      console.warn(`publishing ${command.id} again: ${error}`);
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
}

/** The broker has no queue for commands: no worker was ever started on it. */
export class UnroutableError extends Error {}

/** Another command had this id before. This one was not executed: give it another id. */
export class IdConflictError extends Error {}

async function attempt(url: string, command: Command): Promise<Outcome> {
  const connection = await connect(url);
  try {
    const channel = await connection.createConfirmChannel();
    return await new Promise<Outcome>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("no outcome yet")), ATTEMPT_MS);
      connection.on("error", reject);
      connection.on("close", () => {
        clearTimeout(timer);
        reject(new Error("the connection is closed"));
      });
      channel.on("error", reject);
      channel.on("return", () => reject(new UnroutableError("no queue takes commands")));
      publish(channel, command, resolve, reject).catch(reject);
    });
  } finally {
    await connection.close().catch(() => undefined); // it may be lost already
  }
}

async function publish(
  channel: ConfirmChannel,
  command: Command,
  onOutcome: (outcome: Outcome) => void,
  onConflict: (error: IdConflictError) => void,
): Promise<void> {
  const name = `my-service.replies.${randomUUID()}`;
  const { queue } = await channel.assertQueue(name, { exclusive: true });
  await channel.consume(
    queue,
    (message) => {
      // With this header the outcome is that of the other command.
      if (message?.properties.headers?.["x-id-conflict"]) {
        onConflict(new IdConflictError(`the id ${command.id} is taken`));
      } else if (message) {
        onOutcome(JSON.parse(message.content.toString()) as Outcome);
      }
    },
    { noAck: true },
  );
  channel.publish("recording.commands", command.type, Buffer.from(JSON.stringify(command)), {
    contentType: "application/json",
    persistent: true,
    mandatory: true,
    correlationId: command.id,
    replyTo: queue,
  });
  await channel.waitForConfirms();
}
