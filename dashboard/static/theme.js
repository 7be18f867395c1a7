// theme.js switches between light and dark. The choice is kept by the server's pages.
import { $ } from "./dom.js";

$("#theme")?.addEventListener("click", () => {
  const scheme = getComputedStyle(document.documentElement).colorScheme;
  const dark = scheme === "dark" || (scheme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  const theme = dark ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  document.cookie = `theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax`;
});
