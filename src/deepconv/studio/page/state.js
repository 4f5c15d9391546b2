// What is shown stands in the address, so that Back works and a link reproduces it: #/room?name=value&…

/** Return {room, values} of the address; values are text. */
export function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { room: decodeURIComponent(path ?? ""), values: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

/** Put values into the address. `push` makes a step that Back undoes: for choices, not for a slider's every move. */
export function write(room, values, { push = false } = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const text = query.toString();
  const hash = `#/${room}${text ? `?${text}` : ""}`;
  if (hash === location.hash) return;
  history[push ? "pushState" : "replaceState"](null, "", hash);
}
