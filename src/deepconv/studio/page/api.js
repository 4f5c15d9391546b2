// The page's one line to the library: questions and answers over a WebSocket. See studio/wire.py.

const waiting = new Map(); // id → {resolve, reject}
const latest = new Map(); // "room.method" → the question that waits for the one under way
const busy = new Set(); // "room.method" under way
const listeners = new Map(); // "room.event" → Set of functions
let socket = null;
let opened = null;
let number = 0;

export class Refusal extends Error {} // what the library says when something can't work
export class Lost extends Refusal {} // no answer, as the line broke

export const superseded = Symbol("superseded by a newer question");

/** Open the line, and open it again whenever it breaks. `status(text)` is told; text is "" when all is well. */
export function connect(status) {
  opened = new Promise((resolve) => {
    socket = new WebSocket(new URL("live", document.baseURI).href.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => { status(""); resolve(); });
    socket.addEventListener("message", (message) => receive(message.data));
    socket.addEventListener("close", () => {
      for (const { reject } of waiting.values()) reject(new Lost("The studio has stopped answering."));
      waiting.clear();
      busy.clear();
      latest.clear();
      absent().then((text) => socket.readyState === WebSocket.OPEN || status(text));
      setTimeout(() => { connect(status); opened.then(() => emit("studio.reconnected", {}, [])); }, 1000);
    });
  });
  return opened;
}

/** Say why the line is broken: nobody is there, or a studio that was started anew, with another address. */
async function absent() {
  const there = await fetch("icon.svg", { cache: "no-store" }).catch(() => null);
  return there?.status === 403 ? "The studio was started anew, with a new address: open the one that it printed."
    : "The studio does not answer. Is deepconv studio still running? Trying again …";
}

/** Ask a method of a room; the promise gives {…result, blobs: [ArrayBuffer]}. */
export async function ask(room, method, args = {}, blobs = []) {
  await opened;
  const id = ++number;
  const message = { id, room, method, arguments: args };
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    socket.send(blobs.length ? pack(message, blobs) : JSON.stringify(message));
  });
}

/** Ask where only the newest question matters: while one is under way only the last of the next ones is kept;
    the others give `superseded`. */
export async function askLatest(room, method, args = {}, blobs = []) {
  const kind = `${room}.${method}`;
  if (busy.has(kind)) {
    return new Promise((resolve, reject) => {
      latest.get(kind)?.resolve(superseded);
      latest.set(kind, { args, blobs, resolve, reject });
    });
  }
  busy.add(kind);
  try {
    return await ask(room, method, args, blobs);
  } finally {
    busy.delete(kind);
    const next = latest.get(kind);
    if (next) {
      latest.delete(kind);
      askLatest(room, method, next.args, next.blobs).then(next.resolve, next.reject);
    }
  }
}

/** Call `listener(data, blobs)` at every such event; returns a function that ends it. */
export function on(room, event, listener) {
  const kind = `${room}.${event}`;
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  return () => listeners.get(kind).delete(listener);
}

function emit(kind, data, blobs) {
  for (const listener of listeners.get(kind) ?? []) listener(data, blobs);
}

function receive(data) {
  const [message, blobs] = typeof data === "string" ? [JSON.parse(data), []] : unpack(data);
  if (message.event) return emit(`${message.room}.${message.event}`, message.data, blobs);
  const question = waiting.get(message.id);
  waiting.delete(message.id);
  if (!question) return undefined;
  if (message.superseded) return question.resolve(superseded);
  if (message.error !== undefined) return question.reject(new Refusal(message.error));
  return question.resolve({ ...message.result, blobs });
}

function pack(message, blobs) {
  const head = new TextEncoder().encode(JSON.stringify({ ...message, blobs: blobs.map((b) => b.byteLength) }));
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, head.byteLength, true);
  return new Blob([length.buffer, head, ...blobs]);
}

function unpack(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const message = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  const blobs = [];
  let start = 4 + size;
  for (const length of message.blobs) {
    blobs.push(buffer.slice(start, start + length));
    start += length;
  }
  return [message, blobs];
}
