// The lab's kernel: a named one with its settings, or a grid of one's own numbers.
import { askLatest, superseded } from "../api.js";
import { element, field, group, select, slider } from "../dom.js";

const MOST = 15; // rows and columns of the grid; the library gives no larger one
const FIRST = "sharpen";

/** The controls of the kernel. `changed(push, view)` is called whenever it is another; `view`, where one was chosen by name, is
    how its negative results are shown. `refused(text)` is told what can't be. */
export function kernelControls({ kernels, values, changed, refused }, ...others) {
  let name = ""; // empty for the person's own numbers
  let grid = null; // null where it is too large to be shown
  let two = false; // an effect of two kernels has no one grid

  const presets = element("select", { onchange: () => choose(presets.value) },
    element("option", { value: "" }, "own numbers"),
    ...grouped(kernels).map(([title, members]) => element("optgroup", { label: title },
      ...members.map((kernel) => element("option", { value: kernel.name }, kernel.name)))));
  const settings = element("div", {});
  const does = element("p", { class: "explain" });
  const rows = slider("rows", { min: 1, max: MOST, value: 3, change: (value, push) => resize(value, grid[0].length, push) });
  const columns = slider("columns", { min: 1, max: MOST, value: 3, change: (value, push) => resize(grid.length, value, push) });
  const table = element("table", { class: "numbers editor" });
  const hint = element("p", { class: "explain" });
  const editor = element("div", { class: "kernel" }, element("div", { class: "scroll" }, table), hint);
  const [near, far] = [element("div", {}), element("div", {})]; // a wide grid stands where there is room for it

  const controls = group("Kernel", field("preset", presets), does, settings, rows, columns, near, ...others);

  const written = (between, apart) => grid.map((row) => row.join(between)).join(apart);

  /** Take up a named kernel: `next` may hold settings, as in "gaussian sigma=2". False where there is none. */
  async function choose(next, { push = true } = {}) {
    if (!next) return own(push);
    try {
      const found = await askLatest("lab", "numbers", { text: next });
      if (found === superseded) return true;
      name = next;
      two = found.count > 1;
      grid = found.kernels?.[0] ?? null;
      draw(found.size);
      offer();
      changed(push, push ? found.view : undefined);
      return true;
    } catch (error) {
      offer(); // the fields say again what is shown
      refused(`${error.message}${name ? ` (${name} stays)` : ""}`);
      return false;
    }
  }

  /** Show the settings of the chosen kernel. */
  function offer() {
    const [base, ...given] = name.split(" ");
    const known = kernels.find((kernel) => kernel.name === base);
    presets.value = known ? base : "";
    controls.note(name || "own numbers");
    does.textContent = known ? `${known.does}: ${known.formula.replace(/-(?![a-z])/g, "−")}` : "";
    const now = Object.fromEntries(given.map((part) => part.split("=")));
    settings.replaceChildren(...(known?.settings ?? []).map((setting) => {
      const again = (value) => {
        const all = { ...now, [setting.name]: value.replaceAll(" ", "") };
        if (value === "") delete all[setting.name];
        choose([base, ...Object.entries(all).map(([key, text]) => `${key}=${text}`)].join(" "));
      };
      if (setting.words.length) {
        return select(setting.name, { options: setting.words.map((word) => [String(word), String(word)]),
          value: now[setting.name] ?? String(setting.default), change: again });
      }
      const input = element("input", { type: "text", value: now[setting.name] ?? setting.default ?? "", placeholder: "auto", size: 6 });
      input.addEventListener("change", () => again(input.value.trim()));
      return field(setting.name, input, setting.meaning);
    }));
  }

  /** From now on the grid's numbers are the person's own. */
  function own(push) {
    if (!grid) {
      offer();
      refused(`${name} has more numbers than the grid shows; make it ${MOST} × ${MOST} or smaller first`);
      return false;
    }
    if (two) { two = false; draw(); }
    name = "";
    offer();
    changed(push);
    return true;
  }

  function resize(height, width, push) {
    const old = grid;
    const [top, left] = [Math.floor((height - old.length) / 2), Math.floor((width - old[0].length) / 2)];
    grid = Array.from({ length: height }, (_, i) => Array.from({ length: width }, (__, j) => old[i - top]?.[j - left] ?? 0));
    two = false;
    draw();
    own(push);
  }

  function draw(size = [grid.length, grid[0].length]) {
    for (const [control, count] of [[rows, size[0]], [columns, size[1]]]) {
      control.set(count);
      control.querySelector("output").textContent = count; // a slider shows no more than its most
      control.querySelector("input").disabled = !grid;
    }
    const texts = grid?.flat().map(short) ?? [];
    table.style.setProperty("--digits", Math.max(4, ...texts.map((text) => text.length)));
    table.classList.toggle("many", size[1] > 7);
    const rounded = grid?.flat().some((value, index) => Number(texts[index]) !== value);
    table.replaceChildren(...(grid ? [
      element("caption", {}, `${two ? "the first of its two kernels" : "the kernel"}, ${size.join(" × ")}`),
      element("tbody", {}, ...grid.map((row, i) => element("tr", {}, ...row.map((_, j) => element("td", { class: "weights" }, cell(i, j)))))),
    ] : []));
    hint.textContent = !grid ? `${size.join(" × ")} numbers, more than the grid shows; the picture is filtered with all of them.`
      : rounded ? "Rounded; point at a cell, or go into it, for all of its digits." : "";
    place();
  }

  function cell(i, j) {
    const input = element("input", { type: "number", step: "any", "aria-label": `row ${i + 1}, column ${j + 1}`, disabled: two });
    const rest = () => {
      input.value = short(grid[i][j]);
      input.title = Number(input.value) === grid[i][j] ? "" : grid[i][j];
    };
    let typing = false; // one step back undoes all that was typed in one cell
    rest();
    input.addEventListener("focus", () => { input.value = grid[i][j]; });
    input.addEventListener("input", () => {
      if (!Number.isFinite(input.valueAsNumber)) return; // on the way to a number
      grid[i][j] = input.valueAsNumber;
      own(!typing);
      typing = true;
    });
    input.addEventListener("change", () => {
      typing = false;
      if (Number.isFinite(input.valueAsNumber)) return;
      refused(`row ${i + 1}, column ${j + 1} holds no number, so ${short(grid[i][j])} stays; type 0 to leave its pixel out`);
    });
    input.addEventListener("blur", rest);
    return input;
  }

  /** Put the grid where it fits, and say so where it fits nowhere. */
  function place() {
    const wide = matchMedia("(min-width: 901px)").matches && table.offsetWidth > near.clientWidth;
    const [now, note] = wide ? [far, "The grid stands under the result."] : [near, ""];
    if (editor.parentElement !== now) {
      now.replaceChildren(editor);
      (wide ? near : far).replaceChildren(note && element("p", { class: "explain" }, note));
    }
    const box = editor.firstChild;
    editor.classList.toggle("scrolls", box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1);
  }

  addEventListener("resize", place);
  near.append(editor);

  return {
    controls,
    far,
    /** Take up what the address names: false where that can't be, and the first kernel is shown instead. */
    async open() {
      grid = readGrid(values.k);
      if (grid) { draw(); offer(); return true; }
      if (await choose(values.name ?? FIRST, { push: false })) return true;
      await choose(FIRST, { push: false });
      return false;
    },
    close() { removeEventListener("resize", place); },
    asked: () => (name ? { name } : { kernel: grid }),
    text: () => name || written(" ", "; "),
    address: () => ({ name: name === FIRST ? null : name, k: name ? null : written(" ", ";") }),
  };
}

function grouped(kernels) {
  const groups = new Map();
  for (const kernel of kernels) groups.set(kernel.group, [...(groups.get(kernel.group) ?? []), kernel]);
  return [...groups];
}

/** Read the grid that stands in the address: rows by ";", numbers by " ". */
function readGrid(text) {
  const rows = text?.split(";").map((row) => row.trim().split(/\s+/).map(Number));
  const fine = rows?.length <= MOST && rows.every((row) => row.length === rows[0].length && row.length <= MOST && row.every(Number.isFinite));
  return fine ? rows : null;
}

/** A number as a cell has room for it. */
function short(value) {
  if (Number.isInteger(value)) return String(value);
  if (Math.abs(value) >= 100) return String(Number(value.toFixed(1)));
  const three = Number(value.toPrecision(3));
  return Math.abs(three) < 1e-3 ? Number(value.toPrecision(2)).toExponential() : String(three);
}
