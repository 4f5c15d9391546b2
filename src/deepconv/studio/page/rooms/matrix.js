// The same convolution as one matrix product: vec(x) · W + b, and back to (N, K, H, W).
import { element, shown, steady } from "../dom.js";
import { Example } from "./example.js";
import { columnsTable, imageTables, Kinship, matrixTable, outputTables, productTable } from "./grids.js";
import { player } from "./player.js";
import { outputs } from "./sums.js";

const PRESETS = [
  ["25 × 9, as in the post", { c: 1, h: 7, w: 7, k: 1, r: 3, s: 3, sh: 1, sw: 1, pt: 0, pb: 0, pl: 0, pr: 0, dh: 1, dw: 1 }],
  ["25 × 27, with three channels", { c: 3, h: 7, w: 7, k: 2, r: 3, s: 3, sh: 1, sw: 1, pt: 0, pb: 0, pl: 0, pr: 0, dh: 1, dw: 1 }],
  ["stride 2, padding 1", { c: 1, h: 7, w: 7, k: 2, r: 3, s: 3, sh: 2, sw: 2, pt: 1, pb: 1, pl: 1, pr: 1, dh: 1, dw: 1 }],
];

export async function open(root, { values, remember }) {
  const words = element("p", { class: "explain", role: "status" });
  const sum = element("div", { class: "sum" });
  const told = element("div", { class: "told" }, words, sum);
  const shapes = element("p", { class: "formula" });
  const product = element("div", { class: "grids product" });
  const images = element("div", { class: "grids" });
  const kin = new Kinship((text, about) => {
    words.textContent = text;
    sum.replaceChildren(...terms(about));
    steady(told);
  }, (about) => (about.place === undefined ? kin.hold(about) : walk.keep(about.place)));
  const example = new Example({ ...values, t: "0" }, { remember, changed: draw });
  const walk = player("row", { count: () => example.answer?.cells.length ?? 1, show });
  const choose = (settings) => () => example.set({ ...settings, x: null, wt: null, b: null, dy: null });
  root.append(
    element("p", { class: "explain" }, "Each row of the first matrix is what the window sees at one place; each column of W is a filter. ",
      "Their product, plus the bias, holds every output; turned around it is the output image."),
    element("div", { class: "columns" },
      element("div", {},
        element("div", { class: "buttons" }, ...PRESETS.map(([name, settings]) => element("button", { onclick: choose(settings) }, name))),
        example.controls()),
      example.result(shapes, walk.part, told, product, images)));

  /** Row by row: one place of the window, its sums, and where they stand in the output image. */
  function show(place) {
    if (!example.answer) return;
    example.settings.at = place;
    kin.hold({ place });
    example.mark();
  }

  function terms(about) {
    const { answer, bias } = example;
    if (!answer || about.place === undefined) return [];
    const across = answer.y[0][0].length;
    return outputs(answer, bias, about, (k) => `y[0, ${k}, ${Math.floor(about.place / across)}, ${about.place % across}] = `);
  }

  function draw({ answer, settings }) {
    const { columns, matrix, y } = answer;
    kin.start(answer.cells);
    const size = (rows) => `${rows.length} × ${rows[0].length}`;
    shapes.textContent = `vec(x) (${size(columns)}) · W (${size(matrix)}) + b (1 × ${y.length}) = y (${size(answer.product)}); `
      + `turned around and reshaped: (1, ${y.length}, ${y[0].length}, ${y[0][0].length})`;
    const bias = kin.table("b", 1, example.bias.length, (_, k) => ({
      value: example.bias[k], kind: "weights", about: { filter: k }, edit: (value) => example.put("b", k, value),
    }));
    const sign = (text) => element("span", { class: "sign", "aria-hidden": "true" }, text);
    const [rows, results] = [columnsTable(kin, columns, { name: `vec(x), ${size(columns)}` }),
      productTable(kin, answer.product, { name: `y, ${size(answer.product)}` })];
    for (const [one, other] of [[rows, results], [results, rows]]) { // a row and its product stand at one height
      one.addEventListener("scroll", () => { other.scrollTop = one.scrollTop; });
    }
    product.classList.toggle("dense", matrix.length > 16);
    product.replaceChildren(rows, sign("·"), matrixTable(kin, matrix, { name: `W, ${size(matrix)}` }), sign("+"), bias, sign("="), results);
    images.replaceChildren(
      ...imageTables(kin, answer.padded, answer.padding, { name: "x", kind: "input", edit: (index, value) => example.put("x", index, value) }),
      ...outputTables(kin, y, { name: `y as an image, ${shown(y[0].length)} × ${shown(y[0][0].length)}` }));
    steady(told, true);
    walk.at(settings.at);
    kin.placed();
  }

  await example.compute();
  return walk.end;
}
