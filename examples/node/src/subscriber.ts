/** Downloads every file of every recording. Acknowledges an event when its file is on disk. */

import { setTimeout as delay } from "node:timers/promises";
import { connect, type Channel, type ChannelModel, type ConsumeMessage } from "amqplib";
import { PoisonError, store, type FileEvent } from "./store.js";

const QUEUE = "my-service.files";
const DEAD_LETTERS = "my-service.files.dead";
const TYPES = ["recording.file_ready.v1", "recording.file_url_renewed.v1"];
const CONCURRENCY = 10;
const RETRY_MS = 10_000;

/**
 * Declares the queue of this service: durable, replicated, with dead letters of its own. The exchange
 * `recording.files` must exist. The worker creates it, or `recording-worker topology declare` does.
 */
async function declare(channel: Channel): Promise<void> {
  const quorum = { "x-queue-type": "quorum" };
  await channel.assertExchange(DEAD_LETTERS, "fanout");
  await channel.assertQueue(DEAD_LETTERS, { arguments: quorum });
  await channel.bindQueue(DEAD_LETTERS, DEAD_LETTERS, "");
  await channel.assertQueue(QUEUE, {
    arguments: {
      ...quorum,
      "x-delivery-limit": 20,
      "x-dead-letter-exchange": DEAD_LETTERS,
      "x-dead-letter-strategy": "at-least-once",
      "x-overflow": "reject-publish", // at-least-once requires it
    },
  });
  for (const binding of ["*.*.ready", "*.*.url_renewed"]) {
    await channel.bindQueue(QUEUE, "recording.files", binding);
  }
  await channel.prefetch(CONCURRENCY);
}

/** Acknowledges the event, dead-letters it, or gives it back to the queue. */
async function handle(channel: Channel, message: ConsumeMessage, stop: AbortSignal): Promise<void> {
  const id: unknown = message.properties.messageId;
  try {
    await store(decode(message.content));
    channel.ack(message);
  } catch (error) {
    const poison = error instanceof PoisonError || error instanceof SyntaxError;
    console.error(`event ${id} ${poison ? "is dead-lettered" : "goes back"}: ${error}`);
    if (!poison) await delay(RETRY_MS, undefined, { signal: stop }).catch(() => undefined);
    channel.nack(message, false, !poison);
  }
}

function decode(body: Buffer): FileEvent {
  const event = JSON.parse(body.toString()) as FileEvent;
  if (!TYPES.includes(event.type)) throw new PoisonError(`the type is ${event.type}`);
  return event;
}

/** Handles events until `stop`, or until the connection is lost. Then it finishes what has begun. */
async function consume(connection: ChannelModel, stop: AbortSignal): Promise<void> {
  const lost = new Promise((resolve) => connection.once("close", resolve));
  connection.on("error", (error) => console.error(`connection: ${error}`));
  const stopped = new Promise((resolve) => stop.addEventListener("abort", resolve));
  const channel = await connection.createChannel();
  await declare(channel);
  const handlers = new Set<Promise<void>>();
  const { consumerTag } = await channel.consume(QUEUE, (message) => {
    if (message === null) return;
    const handler = handle(channel, message, stop).catch((error) => {
      console.error(`not settled, RabbitMQ delivers the event again: ${error}`);
    });
    handlers.add(handler);
    void handler.finally(() => handlers.delete(handler));
  });
  console.log("waiting for files");
  await Promise.race([lost, stopped]);
  if (stop.aborted) await channel.cancel(consumerTag);
  await Promise.all(handlers);
  if (stop.aborted) await channel.close(); // sends the last acknowledgements
}

const controller = new AbortController();
process.once("SIGTERM", () => controller.abort());
process.once("SIGINT", () => controller.abort());
while (!controller.signal.aborted) {
  try {
    const connection = await connect(process.env["AMQP_URL"] ?? "amqp://localhost");
    await consume(connection, controller.signal);
    await connection.close();
  } catch (error) {
    console.error(`connecting again: ${error}`);
    await delay(1_000);
  }
}
