// Making elements, without a framework.

/** element("button", {class: "x", onclick: f, "aria-label": "y"}, "text", child, …) */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  set(made, attributes);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  set(made, attributes);
  made.append(...children);
  return made;
}

function set(made, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [name, text] of Object.entries(value)) made.style.setProperty(name, text);
    else if (key in made && typeof value === "boolean") made[key] = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
  }
}

let ids = 0;

/** A label and its control, tied together. `hint` is read out with it. */
export function field(label, control, hint) {
  control.id ||= `field-${++ids}`;
  const parts = [element("label", { for: control.id }, label), control];
  if (hint) {
    const note = element("small", { id: `${control.id}-hint` }, hint);
    control.setAttribute("aria-describedby", note.id);
    parts.push(note);
  }
  return element("div", { class: "field" }, ...parts);
}

/** A slider with its value beside it. `change(number, first)` is called at every move; `first` is true at the first
    move of a drag, so that Back undoes the whole of it. */
export function slider(label, { min, max, step = 1, value, change, format = String }) {
  const input = element("input", { type: "range", min, max, step, value });
  const shown = element("output", {}, format(value));
  let moving = false;
  input.addEventListener("input", () => {
    shown.textContent = format(input.valueAsNumber);
    change(input.valueAsNumber, !moving);
    moving = true;
  });
  input.addEventListener("change", () => { moving = false; });
  const made = field(label, input);
  made.classList.add("slider");
  shown.htmlFor = input.id;
  made.append(shown);
  made.set = (next) => { input.value = next; shown.textContent = format(input.valueAsNumber); };
  return made;
}

/** A choice among few. `options` is [[value, text], …]. */
export function select(label, { options, value, change }) {
  const input = element("select", { onchange: () => change(input.value) },
    ...options.map(([key, text]) => element("option", { value: key, selected: key === value }, text)));
  const made = field(label, input);
  made.set = (next) => { input.value = next; };
  return made;
}

/** A group of controls. On a narrow screen it is folded to its title, which then opens and closes it; `note(text)` puts
    what is set beside the title. */
export function group(title, ...parts) {
  const note = element("small", {});
  const fold = element("button", { class: "fold", "aria-expanded": "false", onclick: () => {
    fold.setAttribute("aria-expanded", String(made.classList.toggle("open")));
  } }, title, note);
  const made = element("fieldset", { class: "group" }, element("legend", {}, element("span", {}, title), fold), ...parts);
  made.note = (text) => { note.textContent = ` ${text}`; };
  return made;
}

/** Let a box be as high as it has been since `fresh`: what is pointed at below it stays under the pointer. */
export function steady(box, fresh = false) {
  if (fresh) box.style.removeProperty("min-height");
  box.style.setProperty("min-height", `${box.offsetHeight}px`);
}

/** A number as people read it: up to `digits` after the point, a true minus. */
export function shown(number, digits = 3) {
  if (typeof number !== "number") return String(number); // NaN and infinity travel as text
  const text = Number.isInteger(number) ? String(number) : String(Number(number.toFixed(digits)));
  return text.replace("-", "−");
}

export function download(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Copy text, and say so on the button for a moment. */
export async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    const box = element("textarea", {}, text);
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
    button.textContent = "Copied";
  }
  setTimeout(() => { button.textContent = before; }, 1500);
}
