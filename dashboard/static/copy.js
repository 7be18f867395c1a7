// copy.js copies what stands beside a button: <button data-copy="ID"> the text of the
// element with that id. It says so in the button's own place.
import { $ } from "./dom.js";

const shown = 2e3; // ms that "Copied" stands

// copied puts text into the clipboard. Pages that came over plain HTTP from elsewhere
// have no clipboard of their own; there the text is selected and copied as by hand.
async function copied(source) {
  const text = source.value ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* below */ }
  const range = document.createRange();
  range.selectNodeContents(source);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  return document.execCommand("copy");
}

document.addEventListener("click", async (e) => {
  const button = e.target.closest?.("[data-copy]");
  const source = button && document.getElementById(button.dataset.copy);
  if (!source) return;
  const words = $(".words", button) ?? button;
  button.dataset.was ??= words.textContent;
  words.textContent = (await copied(source)) ? "Copied" : "Selected: now press Ctrl+C";
  clearTimeout(button.copying);
  button.copying = setTimeout(() => { words.textContent = button.dataset.was; }, shown);
});
