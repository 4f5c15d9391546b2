// Grids of numbers whose cells are kin: pointing at one lights the others everywhere.
//
// A cell knows what it stands for: a pixel of the padded image, a place of the window, a tap of the kernel (a place
// in one row of the matrix), a filter. Which pixel stands where comes from the library: cells[place][tap] = pixel.
import { element, shown } from "../dom.js";
import { times } from "./sums.js";

export class Kinship {
  /** `told(text, about)` says in words what is lit; `chosen(about)` is called for what is clicked at, and keeps it. */
  constructor(told, chosen = (about) => this.hold(about)) {
    Object.assign(this, { tables: [], cells: [], told, chosen, held: null, focused: null });
  }

  /** `cells` from the library; `thing` is what slides: a window, or a stamp. */
  start(cells, thing = "window") {
    const active = document.activeElement?.closest("table.numbers td");
    const left = this.tables.find(({ members }) => members.some(({ td }) => td === active));
    this.focused = left ? { caption: left.caption, row: active.dataset.row, column: active.dataset.column } : null;
    if (JSON.stringify(cells) !== JSON.stringify(this.cells)) this.held = null; // it may stand for something else now
    this.cells = cells;
    this.thing = thing;
    this.tables = [];
  }

  /** To be called when the new tables stand in the page: the cell that had the focus has it again. */
  placed() {
    const { caption, row, column } = this.focused ?? {};
    this.focused = null;
    const table = this.tables.find((each) => each.caption === caption);
    const cell = table?.made.querySelector(`td[data-row="${row}"][data-column="${column}"]`);
    if (!cell) return;
    for (const { td } of table.members) td.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus({ preventScroll: true });
  }

  /** Make a table of `rows` × `columns`. `cell(i, j)` gives {value, kind, about: {pixel, place, tap, filter}, edit}. */
  table(caption, rows, columns, cell) {
    const made = element("table", { class: "numbers", role: "grid" }, element("caption", {}, caption));
    const body = element("tbody");
    const members = [];
    for (let i = 0; i < rows; i++) {
      const row = element("tr", { role: "row" });
      for (let j = 0; j < columns; j++) {
        const { value, kind, about: kin = {}, edit, label } = cell(i, j);
        const about = kind === "input" || kind === "padding" ? { ...kin, value } : kin; // a gradient isn't what the windows hold
        const td = element("td", { class: kind, role: "gridcell", tabindex: i + j ? -1 : 0, "data-row": i, "data-column": j,
          "aria-label": label ?? null }, shown(value));
        members.push({ td, about });
        td.addEventListener("pointerenter", () => this.light(about, made));
        td.addEventListener("focus", () => this.light(about, made));
        td.addEventListener("click", (event) => event.target === td && this.chosen(about));
        td.addEventListener("dblclick", () => edit && this.#type(td, value, edit));
        td.addEventListener("keydown", (event) => this.#key(event, made, [i, j], () => edit && this.#type(td, value, edit), () => this.chosen(about)));
        row.append(td);
      }
      body.append(row);
    }
    made.append(body);
    made.addEventListener("pointerleave", () => this.light(this.held));
    const box = element("div", { class: "scroll" }, made);
    this.tables.push({ caption, made, members, box });
    return box;
  }

  /** Keep this lit when nothing is pointed at. */
  hold(about) {
    this.held = about;
    this.light(about);
  }

  /** `from` is the table that is pointed at: it stays where it is, the others scroll to what is lit in them. */
  light(about, from = null) {
    const lit = about ? this.#kin(about) : () => false;
    for (const { members } of this.tables) for (const { td, about: other } of members) td.classList.toggle("lit", lit(other));
    this.told(about ? this.#words(about) : "", about ?? {});
    for (const { made, members, box } of this.tables) if (about && made !== from) reveal(box, members);
  }

  #kin({ pixel, place, tap, filter }) {
    const { cells } = this;
    if (place !== undefined && tap !== undefined) { // one cell of the matrix
      const seen = cells[place][tap];
      return (other) => other.pixel !== undefined && other.place === undefined ? other.pixel === seen
        : other.place !== undefined && other.tap !== undefined ? other.place === place && other.tap === tap
          : other.place !== undefined ? other.place === place : other.tap === tap;
    }
    if (place !== undefined) { // an output: its window, its row, its filter's weights
      const seen = new Set(cells[place]);
      return (other) => other.place !== undefined ? other.place === place && (other.filter === undefined || filter === undefined || other.filter === filter)
        : other.pixel !== undefined ? seen.has(other.pixel)
          : filter === undefined || other.filter === filter;
    }
    if (pixel !== undefined) { // an input pixel: every window that holds it
      const places = new Set(cells.flatMap((row, index) => (row.includes(pixel) ? [index] : [])));
      return (other) => other.pixel !== undefined ? other.pixel === pixel
        : other.place === undefined ? false
          : other.tap === undefined ? places.has(other.place) : cells[other.place][other.tap] === pixel;
    }
    if (tap !== undefined) { // a weight: what it is multiplied with, everywhere
      const touched = new Set(cells.map((row) => row[tap]));
      return (other) => other.tap !== undefined && other.place !== undefined ? other.tap === tap
        : other.tap !== undefined ? other.tap === tap && (other.filter === undefined || other.filter === filter)
          : other.pixel !== undefined && touched.has(other.pixel);
    }
    return (other) => other.filter === filter;
  }

  #words({ pixel, place, tap, filter, value }) {
    const { cells, thing } = this;
    if (place !== undefined && tap !== undefined) return `row ${place + 1}, entry ${tap + 1} of the matrix`;
    if (place !== undefined) return `${thing} ${place + 1} of ${cells.length}${filter ? `, ${thing === "stamp" ? "channel" : "filter"} ${filter + 1}` : ""}`;
    if (pixel !== undefined) {
      const count = cells.filter((row) => row.includes(pixel)).length;
      const named = value === undefined ? "this pixel" : shown(value);
      return count === 0 ? `no ${thing} holds this pixel` : `${named} is present ${times(count)}: in ${count} ${thing}${count === 1 ? "" : "s"}`;
    }
    if (tap !== undefined) return `this weight is used ${times(cells.length)}, once in each ${thing}`;
    return filter === undefined ? "" : `the bias of filter ${filter + 1}`; // never empty: the page would move under the pointer
  }

  #key(event, table, [i, j], edit, keep) {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (event.target.tagName === "INPUT") return;
    if (step) {
      const next = table.querySelector(`td[data-row="${i + step[0]}"][data-column="${j + step[1]}"]`);
      if (next) {
        event.target.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      }
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === "F2") {
      event.preventDefault();
      edit();
    } else if (event.key === " ") {
      event.preventDefault();
      keep();
    }
  }

  #type(td, value, edit) {
    const before = td.textContent;
    const input = element("input", { type: "number", step: "any", value, "aria-label": "new number", class: "cell" });
    let over = false;
    const end = (by) => {
      if (over) return;
      over = true;
      td.textContent = before;
      if (by !== "blur") td.focus(); // and there it stays when the answer redraws the table
      if (by !== "Escape" && Number.isFinite(input.valueAsNumber) && input.valueAsNumber !== value) edit(input.valueAsNumber);
    };
    td.replaceChildren(input);
    input.select();
    input.addEventListener("blur", () => end("blur"));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") end(event.key);
      event.stopPropagation();
    });
  }
}

/** Scroll a box, and nothing else, so that its lit cells are in sight: all of them where they fit, else the first. */
function reveal(box, members) {
  const [wide, high] = [box.scrollWidth > box.clientWidth, box.scrollHeight > box.clientHeight];
  if (!wide && !high) return;
  const outer = box.getBoundingClientRect();
  const places = members.filter(({ td }) => td.classList.contains("lit")).map(({ td }) => td.getBoundingClientRect());
  if (!places.length) return;
  const moved = (starts, ends, from, size, scroll) => {
    const seen = starts.some((start, index) => start >= from && ends[index] <= from + size);
    const [first, last] = [Math.min(...starts), Math.max(...ends)];
    if (last - first > size) return seen ? scroll : scroll + first - from;
    return first >= from && last <= from + size ? scroll : scroll + (first + last) / 2 - from - size / 2;
  };
  if (high) box.scrollTop = moved(places.map((p) => p.top), places.map((p) => p.bottom), outer.top, box.clientHeight, box.scrollTop);
  if (wide) box.scrollLeft = moved(places.map((p) => p.left), places.map((p) => p.right), outer.left, box.clientWidth, box.scrollLeft);
}

/** The padded image, a table for each channel; `values` is (C, H, W) with its padding. `beyond` is what the padding is
    called: an output that was stamped has nothing added, but its edge cut off. */
export function imageTables(kin, values, padding, { name, kind, edit, beyond = "padding", each = "channel" }) {
  const [channels, rows, columns] = [values.length, values[0].length, values[0][0].length];
  const [[top, bottom], [left, right]] = padding;
  const [height, width] = [rows - top - bottom, columns - left - right];
  return values.map((plane, c) => kin.table(channels > 1 ? `${name}, ${each} ${c + 1}` : name, rows, columns, (i, j) => {
    const inside = i >= top && i < rows - bottom && j >= left && j < columns - right;
    const own = (c * height + i - top) * width + j - left;
    return {
      value: plane[i][j], kind: inside ? kind : beyond, about: { pixel: (c * rows + i) * columns + j },
      edit: inside && edit ? (value) => edit(own, value) : null,
    };
  }));
}

/** The weights, a table for each filter and channel; `values` is (K, C, R, S). */
export function weightTables(kin, values, { name = "weights", kind = "weights", edit, transposed = false }) {
  const [outer, inner, rows, columns] = [values.length, values[0].length, values[0][0].length, values[0][0][0].length];
  return values.flatMap((filter, k) => filter.map((plane, c) => {
    const which = [outer > 1 ? `${transposed ? "channel" : "filter"} ${k + 1}` : "", inner > 1 ? `${transposed ? "filter" : "channel"} ${c + 1}` : ""];
    return kin.table([name, ...which.filter(Boolean)].join(", "), rows, columns, (i, j) => ({
      value: plane[i][j], kind, about: { tap: (c * rows + i) * columns + j, filter: k },
      edit: edit ? (value) => edit(((k * inner + c) * rows + i) * columns + j, value) : null,
    }));
  }));
}

/** An output or its gradient, a table for each filter; `values` is (K, H, W). */
export function outputTables(kin, values, { name, kind = "output", edit, each = "filter" }) {
  const [filters, rows, columns] = [values.length, values[0].length, values[0][0].length];
  return values.map((plane, k) => kin.table(filters > 1 ? `${name}, ${each} ${k + 1}` : name, rows, columns, (i, j) => ({
    value: plane[i][j], kind, about: { place: i * columns + j, filter: k },
    edit: edit ? (value) => edit((k * rows + i) * columns + j, value) : null,
  })));
}

/** A matrix with a row for each place of the window and a column for each tap. */
export function columnsTable(kin, values, { name, kind = "input" }) {
  return kin.table(name, values.length, values[0].length, (i, j) => ({
    value: values[i][j], kind, about: { place: i, tap: j },
  }));
}

/** The weights as a matrix: a row for each tap, a column for each filter. */
export function matrixTable(kin, values, { name = "W", kind = "weights" } = {}) {
  return kin.table(name, values.length, values[0].length, (i, j) => ({
    value: values[i][j], kind, about: { tap: i, filter: j },
  }));
}

/** A matrix with a row for each place and a column for each filter. */
export function productTable(kin, values, { name, kind = "output" }) {
  return kin.table(name, values.length, values[0].length, (i, j) => ({
    value: values[i][j], kind, about: { place: i, filter: j },
  }));
}
