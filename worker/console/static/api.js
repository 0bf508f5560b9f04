// Sends requests to the console's server only.

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export async function get(path, { signal } = {}) {
  return answer(await fetch(path, { signal, headers: { Accept: "application/json" } }));
}

export async function post(path, body) {
  return answer(await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }));
}

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(body.error ?? `the console answered ${response.status}`, response.status);
  return body;
}

export function query(parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

const AGAIN_MILLISECONDS = 5000;

// Listens to the stream until `close`. Calls `on(name, value)` for each message, and `state(text)`
// for changes. A browser connects again after a lost connection, but not after a refusal.
export function listen(on, state) {
  let source = null;
  let timer = null;
  const connect = () => {
    source = new EventSource("/api/stream");
    source.addEventListener("open", () => state("open"));
    source.addEventListener("error", () => {
      state("lost");
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, AGAIN_MILLISECONDS);
    });
    for (const name of ["now", "event", "broker", "reload"]) {
      source.addEventListener(name, (message) => on(name, JSON.parse(message.data)));
    }
  };
  connect();
  return {
    close() {
      clearTimeout(timer);
      source.close();
    },
  };
}
