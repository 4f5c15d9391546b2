// My own code, held against the library: the first wrong cell, and the likely reason.
import { ask } from "../api.js";
import { element, field } from "../dom.js";

const START = `import numpy as np

def arr2vec(x, kernel_size, stride=1, padding=0):
    k1, k2 = kernel_size
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows = []
    for i in range(0, x.shape[2] - k1 + 1, stride):
        for j in range(0, x.shape[3] - k2 + 1, stride):
            rows.append(x[:, :, i:i + k1, j:j + k2].reshape(len(x), -1))
    return np.stack(rows, axis=1)

def vec2arr(vec, kernel_size, old_shape, stride=1, padding=0):
    (k1, k2), (n1, n2) = kernel_size, old_shape
    x = np.zeros((len(vec), vec.shape[2] // (k1 * k2), n1 + 2 * padding, n2 + 2 * padding))
    row = 0
    for i in range(0, x.shape[2] - k1 + 1, stride):
        for j in range(0, x.shape[3] - k2 + 1, stride):
            x[:, :, i:i + k1, j:j + k2] = vec[:, row].reshape(len(vec), -1, k1, k2)
            row += 1
    return x[:, :, padding:padding + n1, padding:padding + n2]
`;

export async function open(root) {
  const code = element("textarea", { rows: 24, spellcheck: "false", class: "code" });
  code.value = sessionStorage.getItem("check") ?? START;
  const results = element("div", { role: "status", class: "results" });
  const button = element("button", { class: "main", onclick: run }, "Check it");
  const file = element("input", { type: "file", accept: ".py,text/x-python", onchange: async () => {
    if (file.files.length) code.value = await file.files[0].text();
  } });
  let gone = false;
  root.append(
    element("p", { class: "explain" }, "Paste your own arr2vec and vec2arr, im2col and col2im, conv2d, conv_forward and conv_backward, ",
      "or a class with forward and backward. It runs in a process of its own on this machine, and what it gives is held against the library: ",
      "a dozen cases from plain to everything at once. The example has a slip in it."),
    field("Python", code), field("or a file", file), element("div", { class: "buttons" }, button), results);

  async function run() {
    sessionStorage.setItem("check", code.value);
    button.disabled = true;
    results.replaceChildren("Running …");
    try {
      const report = await ask("check", "check", { code: code.value });
      if (!gone) results.replaceChildren(...report.findings.map(show), ...report.notes.map((note) => element("p", { class: "explain" }, note)));
    } catch (error) {
      results.replaceChildren(element("p", { class: "refusal" }, error.message));
    } finally {
      button.disabled = false;
    }
  }

  return () => { gone = true; };
}

function show(finding) {
  const title = `${finding.name}: ${finding.result}`;
  if (!finding.case) {
    return element("section", { class: "finding right" }, element("h3", {}, "✓ ", title),
      element("p", {}, `right in ${finding.tried} of ${finding.tried} cases`));
  }
  const line = finding.line ? ` (line ${finding.line})` : "";
  return element("section", { class: "finding wrong" }, element("h3", {}, "✗ ", title),
    element("p", {}, `right in ${finding.right} of ${finding.tried} cases; first wrong in ${finding.case}`),
    element("p", {}, `${finding.problem}${line}`),
    finding.reason ? element("p", { class: "reason" }, element("strong", {}, "Likely: "), finding.reason) : null);
}
