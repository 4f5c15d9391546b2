// The frame around the rooms: which is open, and the line to the library.
import { connect, on } from "./api.js";
import { element } from "./dom.js";
import { read, write } from "./state.js";

const ROOMS = [
  ["lab", "Kernel lab"],
  ["window", "The window"],
  ["matrix", "The matrix"],
  ["backward", "Backward"],
  ["network", "My network"],
  ["check", "Check mine"],
];

const root = document.getElementById("room");
const line = document.getElementById("connection");
let leave = null; // ends the open room
let opening = 0;

function say(text) {
  line.textContent = text;
  line.hidden = !text;
}

/** Open the room that the address names. A room's module exports open(root, context), which returns how to leave. */
async function enter() {
  const { room, values } = read();
  const known = ROOMS.find(([id]) => id === room) ?? ROOMS[0];
  if (known[0] !== room) write(known[0], values);
  const turn = ++opening;
  leave?.();
  leave = null;
  for (const link of document.querySelectorAll("#rooms a")) {
    if (link.dataset.room === known[0]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${known[1]} · deepconv studio`;
  const module = await import(`./rooms/${known[0]}.js`);
  if (turn !== opening) return;
  const fresh = element("div", { class: `room room-${known[0]}` }, element("h2", {}, known[1]));
  root.replaceChildren(fresh);
  if (turn > 1) root.focus({ preventScroll: true }); // who reads by ear or key begins with the new room
  leave = await module.open(fresh, {
    values,
    remember: (next, options) => write(known[0], next, options),
  });
}

document.getElementById("rooms").append(...ROOMS.map(([id, title]) =>
  element("li", {}, element("a", { href: `#/${id}`, "data-room": id }, title))));
addEventListener("popstate", enter);
on("studio", "reconnected", enter);
await connect(say);
await enter();
