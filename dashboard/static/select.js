// select.js keeps which hosts are selected: across changes of the page, and across
// filters, which hide hosts but do not take them out of the selection.
import { $, all } from "./dom.js";

const form = $("#pick");
const chosen = new Set(); // names
let anchor; // name of the row that was picked last: a range begins there

const boxes = () => all("tbody input[name=hosts]", form);

// choose puts hosts into the selection or takes them out.
function choose(names, on) {
  for (const name of names) on ? chosen.add(name) : chosen.delete(name);
  apply();
}

// pick is a press on one row; with a range, on all from the one before.
function pick(box, range) {
  const shown = boxes().map((b) => b.value), from = shown.indexOf(anchor), to = shown.indexOf(box.value);
  choose(range && from >= 0 ? shown.slice(Math.min(from, to), Math.max(from, to) + 1) : [box.value], box.checked);
  anchor = box.value;
}

// apply makes the page show the selection.
function apply() {
  let shown = 0, here = 0;
  for (const box of boxes()) {
    const on = chosen.has(box.value);
    shown++;
    if (on) here++;
    if (box.checked !== on) box.checked = on;
  }
  const all = $("#pick-all");
  if (all) {
    all.checked = shown > 0 && here === shown;
    all.indeterminate = here > 0 && here < shown;
    all.disabled = !shown;
  }
  const hidden = chosen.size - here, text = !chosen.size ? "" : `${chosen.size} selected${hidden ? `, ${hidden} of them not shown` : ""}`;
  if ($("#selected").textContent !== text) $("#selected").textContent = text;
  $("#selection").classList.toggle("on", chosen.size > 0);
}

// toggle is for the keyboard.
export function toggle(row, range) {
  const box = form && $("input[name=hosts]", row);
  if (!box) return;
  box.checked = !box.checked;
  pick(box, range);
}

if (form) {
  form.addEventListener("click", (e) => {
    const box = e.target;
    if (box.id === "unpick") choose([...chosen], false);
    else if (box.id === "pick-all") choose(boxes().map((b) => b.value), box.checked);
    else if (box.name === "hosts") pick(box, e.shiftKey);
  });
  form.addEventListener("keydown", (e) => { if (e.key === "Enter" && e.target.type === "checkbox") e.preventDefault(); }); // else it presses the first button
  // The form carries the whole selection, not only what is shown, in one field.
  form.addEventListener("formdata", (e) => e.formData.set("hosts", [...chosen].sort().join(" ")));
  form.addEventListener("mousedown", (e) => { if (e.shiftKey && e.target.closest(".pick")) e.preventDefault(); }); // a range of hosts, not of text
  document.addEventListener("settled", apply);
  apply();
}
