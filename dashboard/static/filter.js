// filter.js makes the filter of the Fleet page work while one types. The filter is the
// page's address; without script it is a form that loads the page.
import { $ } from "./dom.js";
import { turn } from "./live.js";

const form = $("#filter"), search = $("#q");
const pause = 200; // ms: somebody who types is not done yet
let soon;

// address is where the form leads to. Defaults have no part in it.
function address() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value.trim()) query.set(name, value.trim());
  query.sort(); // as the server spells it
  return "/" + (query.size ? `?${query}` : "");
}

// go shows an address of this page. Where somebody types, the way back is to what was
// before the first letter.
function go(to, typed) {
  clearTimeout(soon);
  if (to === location.pathname + location.search) return;
  history[typed ? "replaceState" : "pushState"](undefined, "", to);
  show();
}

function show() {
  turn("/events" + location.pathname + location.search);
  $("#pick").setAttribute("aria-busy", "true");
}

// fill writes the page's address into the form.
function fill() {
  const query = new URLSearchParams(location.search);
  for (const field of form.elements) {
    if (!field.name || field === document.activeElement && field === search) continue;
    field.value = query.get(field.name) ?? "";
  }
  search.defaultValue = search.value; // nothing that a reload would lose
}

if (form) {
  form.addEventListener("input", (e) => {
    clearTimeout(soon);
    if (e.target === search) soon = setTimeout(() => go(address(), true), pause);
  });
  form.addEventListener("change", () => go(address()));
  form.addEventListener("submit", (e) => { e.preventDefault(); go(address()); });
  search.addEventListener("input", () => { search.defaultValue = search.value; });
  document.addEventListener("click", (e) => {
    const link = e.target.closest?.("a[data-filter]");
    if (!link || e.metaKey || e.ctrlKey || e.shiftKey || e.button) return;
    e.preventDefault();
    if (document.activeElement === search) search.blur();
    go(link.getAttribute("href"));
    fill();
  });
  addEventListener("popstate", () => { fill(); show(); });
  document.addEventListener("settled", () => $("#pick").removeAttribute("aria-busy"));
}
