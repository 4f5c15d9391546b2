// Loss and accuracy by epoch.
import { element, shown } from "../dom.js";

const WIDEST = 560;
const HEIGHT = 170;

export function curves() {
  const canvas = element("canvas", { class: "curves", role: "img", "aria-label": "loss and accuracy by epoch" });
  const caption = element("figcaption", {});
  const box = element("figure", { class: "progress", hidden: true }, canvas, caption);

  /** `run` has its `epochs` in all, its `history` from the first on, and the `least_loss` that there is. */
  function draw({ epochs, history, least_loss: least }) {
    box.hidden = !history.length;
    if (box.hidden) return;
    const last = history.at(-1);
    const accuracy = `${(100 * (last.validation_accuracy ?? 0)).toFixed(1)} %`;
    const said = `after ${last.epoch} of ${epochs} epochs: `;
    caption.replaceChildren(said, element("span", { class: "loss" }, `loss ${shown(last.loss)}`), ", ",
      element("span", { class: "accuracy" }, `${accuracy} of the validation digits are right`),
      `. Even a perfect network’s loss is ${shown(least)} (dashed): a tenth of each label is spread over all classes, against too much certainty. `,
      "It is measured on digits that are turned and bent anew in each epoch.");
    canvas.setAttribute("aria-label", `${said}loss ${shown(last.loss)}, validation accuracy ${accuracy}`);
    paint(canvas, Math.min(WIDEST, box.clientWidth || WIDEST), history, epochs, least);
  }
  return { box, draw };
}

function paint(canvas, width, history, epochs, least) {
  const sharp = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width * sharp, HEIGHT * sharp];
  canvas.style.setProperty("width", `${width}px`);
  const context = canvas.getContext("2d");
  context.scale(sharp, sharp);
  context.font = "12px sans-serif";
  const style = getComputedStyle(document.documentElement);
  const [left, right, top, bottom] = [42, width - 46, 12, HEIGHT - 36];
  const most = Math.max(...history.map((record) => record.loss));
  const x = (epoch) => (epochs === 1 ? (left + right) / 2 : left + (epoch - 1) / (epochs - 1) * (right - left));
  const y = (share) => top + (1 - share) * (bottom - top);
  const write = (text, at, height, name, align = "left") => {
    context.fillStyle = style.getPropertyValue(name);
    context.textAlign = align;
    context.fillText(text, at, height);
  };
  const line = (points, name, dash = []) => {
    context.strokeStyle = style.getPropertyValue(name);
    context.setLineDash(dash);
    context.beginPath();
    points.forEach(([a, b], index) => context[index ? "lineTo" : "moveTo"](a, b));
    context.stroke();
  };
  const plot = (values, name) => {
    context.lineWidth = 2;
    const points = values.map((value, index) => [x(history[index].epoch), y(value)]);
    line(points, name);
    context.fillStyle = style.getPropertyValue(name);
    for (const [a, b] of points) context.fillRect(a - 2, b - 2, 4, 4);
  };
  context.lineWidth = 1;
  line([[left, top], [left, bottom], [right, bottom], [right, top]], "--rule");
  line([[left, y(least / most)], [right, y(least / most)]], "--input", [4, 4]);
  plot(history.map((record) => record.loss / most), "--input");
  plot(history.map((record) => record.validation_accuracy ?? 0), "--output");
  write(shown(most, 2), left - 6, top + 8, "--input", "right");
  write("0", left - 6, bottom, "--input", "right");
  write("100 %", right + 6, top + 8, "--output");
  write("0 %", right + 6, bottom, "--output");
  const apart = Math.ceil(epochs / Math.max(2, Math.floor((right - left) / 40)));
  for (let epoch = 1; epoch <= epochs; epoch += apart) write(epoch, x(epoch), bottom + 15, "--soft", "center");
  write("epoch", (left + right) / 2, bottom + 31, "--soft", "center");
}
