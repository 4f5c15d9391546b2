// Maps of numbers as small pictures. The colours only show the library's numbers; nothing is computed of them.
import { element } from "../dom.js";

const ABOVE = [224, 123, 57];
const BELOW = [47, 109, 179];
const WARM = [214, 40, 40];
const numbers = new WeakMap(); // canvas → what it shows

/** One map: blue below zero, orange above, paper at zero. `point(row, column)` is called for the place clicked at. */
export function map(values, height, width, { label, point = null, scale = Math.max(2, Math.min(12, Math.round(72 / Math.max(height, width)))) }) {
  const canvas = element("canvas", { width, height, class: "map", role: point ? "button" : "img", "aria-label": label });
  paint(canvas, values);
  sized(canvas, height, width, scale);
  if (!point) return canvas;
  canvas.classList.add("pointed");
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    point(Math.floor((event.clientY - box.top) / box.height * height), Math.floor((event.clientX - box.left) / box.width * width));
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const now = numbers.get(canvas);
    const strongest = now.reduce((best, value, index) => (Math.abs(value) > Math.abs(now[best]) ? index : best), 0);
    point(Math.floor(strongest / width), strongest % width);
  });
  return canvas;
}

/** Show other numbers of the same size: while somebody draws, hundreds of maps change at every stroke. */
export function paint(canvas, values) {
  const most = Math.max(1e-12, ...values.map(Math.abs));
  const image = new ImageData(canvas.width, canvas.height);
  values.forEach((value, index) => {
    const share = value / most;
    const colour = share < 0 ? BELOW : ABOVE;
    for (let c = 0; c < 3; c++) image.data[4 * index + c] = 255 + Math.abs(share) * (colour[c] - 255);
    image.data[4 * index + 3] = 255;
  });
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
  numbers.set(canvas, values);
}

/** Make a group of maps one stop of the Tab key, in which the arrow keys walk. */
export function walkable(group) {
  const maps = [...group.querySelectorAll(".pointed")];
  maps.forEach((canvas, index) => {
    canvas.tabIndex = index ? -1 : 0;
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = maps[index + step];
      if (!next) return;
      canvas.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });
  return group;
}

/** Shares from 0 to 1 as warmth over the picture that the network saw, in grey. */
export function heatmap(values, [height, width], picture, [channels, rows, columns]) {
  const canvas = element("canvas", { width, height, class: "map heat", role: "img", "aria-label": "the pixels that mattered, over the picture" });
  const [low, high] = [Math.min(...picture), Math.max(...picture)];
  const image = new ImageData(width, height);
  values.forEach((value, index) => {
    const [i, j] = [Math.floor(index / width), index % width];
    const seen = Math.floor(i * rows / height) * columns + Math.floor(j * columns / width);
    const ink = channels === 1; // digits come as ink, bright on nothing; photographs as light
    const grey = 255 * ((picture[seen] - low) / Math.max(1e-12, high - low));
    const paper = ink ? 255 - 0.8 * grey : grey;
    for (let c = 0; c < 3; c++) image.data[4 * index + c] = paper + 0.75 * value * (WARM[c] - paper);
    image.data[4 * index + 3] = 255;
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  sized(canvas, height, width, Math.max(1, Math.round(144 / Math.max(height, width))));
  return canvas;
}

function sized(canvas, height, width, scale) {
  canvas.style.setProperty("width", `${width * scale}px`);
  canvas.style.setProperty("height", `${height * scale}px`);
}
