// Where the lab's picture comes from: the cat, a file, what is dropped or pasted, the webcam.
import { ask } from "../api.js";
import { element, field, group } from "../dom.js";
import { webcam } from "./webcam.js";

let mine = null; // the person's {data, name}, kept here so that it survives a broken line and another room

/** The controls of the picture. `taken(picture, own)` is called with each that the library has taken in; `refused(text)` with
    what speaks against one, and with "" when the next is fine. */
export function source({ taken, refused }) {
  const file = element("input", { type: "file", accept: "image/*", onchange: () => file.files.length && bring(file.files[0], true) });
  const lens = element("button", { "aria-pressed": "false", onclick: () => (camera ? stop() : start()) }, "Webcam");
  let camera = null; // ends the webcam
  let turns = 0;

  /** Hand the library a picture, {data, name}, or null for the cat; false where it is refused: the old one stays then. */
  async function load(next, turn = ++turns) {
    try {
      const picture = await ask("lab", "load", { name: next?.name ?? "" }, next ? [next.data] : []);
      if (turn !== turns) return true;
      mine = next;
      refused("");
      taken(picture, next !== null);
      return true;
    } catch (error) {
      if (turn === turns) refused(error.message);
      return false;
    }
  }

  async function take(found, name) {
    const turn = ++turns;
    const data = await found.arrayBuffer();
    if (turn === turns) await load({ data, name }, turn);
  }

  function bring(found, chosen = false) {
    stop();
    if (!chosen) file.value = ""; // the field names no file that isn't shown, and takes the same one again
    return take(found, found.name.slice(-255));
  }

  async function start() {
    try {
      camera = await webcam((frame) => take(frame, ""));
      file.value = "";
      lens.setAttribute("aria-pressed", "true");
    } catch (error) { refused(`The webcam can’t be used: ${error.message}`); }
  }

  function stop() {
    camera?.();
    camera = null;
    lens.setAttribute("aria-pressed", "false");
  }

  const dropped = (event) => {
    const [found] = [...(event.dataTransfer ?? event.clipboardData).files];
    if (found) { event.preventDefault(); bring(found); }
  };
  const over = (event) => event.preventDefault();
  addEventListener("dragover", over);
  addEventListener("drop", dropped);
  addEventListener("paste", dropped);

  return {
    controls: group("Picture", field("your own", file), element("div", { class: "buttons" }, lens,
      element("button", { onclick: () => { stop(); file.value = ""; load(null); } }, "The cat"))),
    /** Show the person's picture again, or the cat. */
    async open() {
      if (await load(mine) || mine === null) return;
      taken(await ask("lab", "load"), false); // what was said of the person's picture stays
    },
    close() {
      turns += 1;
      stop();
      removeEventListener("dragover", over);
      removeEventListener("drop", dropped);
      removeEventListener("paste", dropped);
    },
  };
}
