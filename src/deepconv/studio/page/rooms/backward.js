// The way back: where each input gradient comes from, the weights' gradient, and one step downhill.
import { element, shown } from "../dom.js";
import { Example } from "./example.js";
import { columnsTable, imageTables, Kinship, outputTables, weightTables } from "./grids.js";
import { line, product } from "./sums.js";
import { chunk } from "./window.js";

export async function open(root, { values, remember }) {
  const words = element("p", { class: "explain", role: "status" });
  const refusal = element("p", { class: "refusal", role: "alert" });
  const sum = element("div", { class: "sum", role: "status" });
  const kin = new Kinship((text, about) => { words.textContent = text; sum.replaceChildren(...origin(about)); });
  const part = () => element("div", { class: "grids" });
  const [forward, back, matrix, weights, next] = [part(), part(), part(), part(), part()];
  const example = new Example({ ...values, t: "0" }, {
    remember,
    refused: (message) => { refusal.textContent = message; },
    changed: (made) => { refusal.textContent = ""; draw(made); },
  });
  const ones = (value) => () => example.set({ dy: example.answer.dy.flat(2).map(() => value) });
  const single = () => example.set({ dy: example.answer.dy.flat(2).map((_, index) => (index === 0 ? 1 : 0)) });
  const stepping = element("button", { class: "main", onclick: () => example.set({
    wt: example.answer.step.weight.flat(3), b: example.answer.step.bias }) }, "Take the step");
  root.append(
    element("p", { class: "explain" }, "The output’s gradient goes back the way the numbers came: each window’s share is added to the pixels it was read from. ",
      "Change the output’s gradient, and point at an input gradient to see the windows that it is summed from. Back undoes a step."),
    element("div", { class: "columns" },
      element("div", {}, example.controls()),
      element("div", {}, refusal, words, sum,
        element("h3", {}, "The output’s gradient"),
        element("div", { class: "buttons" }, element("button", { onclick: ones(1) }, "1 everywhere"),
          element("button", { onclick: single }, "1 in one place"), element("button", { onclick: ones(0) }, "0 everywhere")),
        forward,
        element("h3", {}, "The input’s gradient: the rows of dy · Wᵀ, added where they were read (col2im)"), back, matrix,
        element("h3", {}, "The weights’ gradient: windows times gradients; the bias’s: a sum"), weights,
        element("h3", {}, "One step of gradient descent: weights − rate · gradient"),
        element("div", { class: "buttons" }, example.rateField(), stepping), next)));

  function draw({ answer, weight, weightSizes, bias }) {
    kin.start(answer.cells);
    const edit = (list) => (index, value) => example.put(list, index, value);
    forward.replaceChildren(
      ...outputTables(kin, answer.dy, { name: "dy", kind: "gradient", edit: edit("dy") }),
      ...weightTables(kin, chunk(weight, weightSizes), { edit: edit("wt") }),
      ...imageTables(kin, answer.padded, answer.padding, { name: "x", kind: "input", edit: edit("x") }));
    back.replaceChildren(...inner(answer.dx, "dx", "gradient"), ...inner([answer.seen], "how many windows saw each pixel", "count"));
    matrix.replaceChildren(columnsTable(kin, answer.dcolumns, { name: "dy · Wᵀ, a row for each window", kind: "gradient" }));
    const sums = kin.table("db", 1, answer.db.length, (_, k) => ({ value: answer.db[k], kind: "gradient", about: { filter: k } }));
    weights.replaceChildren(...weightTables(kin, answer.dw, { name: "dw", kind: "gradient" }), sums);
    const biases = kin.table("new b", 1, bias.length, (_, k) => ({ value: answer.step.bias[k], kind: "weights", about: { filter: k } }));
    next.replaceChildren(...weightTables(kin, answer.step.weight, { name: "new weights" }), biases,
      ...outputTables(kin, answer.step.y, { name: "new output" }));
  }

  /** Where the gradient that is pointed at comes from, as a sum of the library's numbers. */
  function origin({ pixel, tap, place, filter }) {
    const { answer } = example;
    const dy = (k) => answer.dy[k].flat();
    if (pixel !== undefined) {
      const inside = at(pixel);
      const shares = answer.cells.flatMap((row, window) => row.flatMap((cell, entry) => (cell === pixel ? [answer.dcolumns[window][entry]] : [])));
      return inside ? [line(`dx = `, shares.map((share) => shown(share)), answer.dx[inside[0]][inside[1]][inside[2]])] : [];
    }
    if (tap !== undefined && filter !== undefined && place === undefined) {
      const gradients = dy(filter);
      return [line("dw = ", answer.columns.map((row, window) => product(row[tap], gradients[window])), answer.dw[filter].flat(2)[tap])];
    }
    if (filter !== undefined && place === undefined) return [line("db = ", dy(filter).map((value) => shown(value)), answer.db[filter])];
    return [];
  }

  /** Where a pixel of the padded image stands in the image; null in the padding. */
  function at(pixel) {
    const { padding: [[top], [left]], padded_shape: [, rows, columns], dx } = example.answer;
    const [c, i, j] = [Math.floor(pixel / (rows * columns)), Math.floor(pixel / columns) % rows - top, pixel % columns - left];
    return dx[c]?.[i]?.[j] === undefined ? null : [c, i, j];
  }

  /** Tables of the image without its padding, each cell kin to its place in the padded one. */
  function inner(planes, name, kind) {
    const [[top], [left]] = example.answer.padding;
    const [, rows, columns] = example.answer.padded_shape;
    return planes.map((plane, c) => kin.table(planes.length > 1 ? `${name}, channel ${c + 1}` : name, plane.length, plane[0].length, (i, j) => ({
      value: plane[i][j], kind, about: { pixel: (c * rows + i + top) * columns + j + left },
    })));
  }

  await example.compute();
  return () => {};
}
