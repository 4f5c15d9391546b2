// The paper that one draws on, with a pen or the keyboard.
import { element } from "../dom.js";

const SIDE = 200; // pixels of its sides
const STEP = 8; // pixels of an arrow key's press
let drawn = null; // stays when the room is left

/** `change(bytes, side)` is told the grey pixels at every stroke. */
export function paper(change) {
  const canvas = element("canvas", { class: "paper", width: SIDE, height: SIDE, tabindex: 0, role: "img",
    "aria-label": "draw a digit here; with the keyboard: arrow keys move the pen, Space puts it down or up" });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let at = [SIDE / 2, SIDE / 2];
  let down = false;
  let inked = false;

  function clear() {
    drawn = null;
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, SIDE, SIDE);
  }

  function line(x, y) {
    pen.strokeStyle = "#111";
    pen.lineWidth = 18;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(...at);
    pen.lineTo(x, y);
    pen.stroke();
    at = [x, y];
    drawn = pen.getImageData(0, 0, SIDE, SIDE);
    const grey = new Uint8Array(SIDE * SIDE);
    for (let i = 0; i < grey.length; i++) grey[i] = drawn.data[4 * i];
    change(grey.buffer, SIDE);
  }

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * SIDE, (event.clientY - box.top) / box.height * SIDE];
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down = true;
    at = place(event);
    line(...at);
  });
  canvas.addEventListener("pointermove", (event) => down && line(...place(event)));
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { down = false; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [0, -STEP], ArrowDown: [0, STEP], ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0] }[event.key];
    if (event.key !== " " && !step) return;
    event.preventDefault();
    if (!step) {
      inked = !inked;
      return;
    }
    const next = at.map((value, axis) => Math.min(SIDE, Math.max(0, value + step[axis])));
    if (inked) line(...next);
    else at = next;
  });
  if (drawn) pen.putImageData(drawn, 0, 0);
  else clear();
  return { canvas, clear };
}
