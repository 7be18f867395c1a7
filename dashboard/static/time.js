// time.js counts times. The server writes them as moments, so that the passing of
// time is no change that it would have to send.
import { all } from "./dom.js";

let skew = Number(document.body.dataset.now) - Date.now(); // server's clock minus ours

// adjust takes the server's clock, in milliseconds.
export function adjust(ms) { skew = ms - Date.now(); }

// span is how long something lasts, in the two units that matter.
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1e3)), m = Math.floor(s / 60), h = Math.floor(m / 60);
  if (s < 60) return `${s} s`;
  if (m < 60) return m < 10 && s % 60 ? `${m} m ${s % 60} s` : `${m} m`;
  if (h < 48) return m % 60 && h < 10 ? `${h} h ${m % 60} m` : `${h} h`;
  return `${Math.floor(h / 24)} d`;
}

// tick writes every time as it is now.
export function tick() {
  const now = Date.now() + skew;
  for (const time of all("time[data-when]")) {
    const at = Date.parse(time.dateTime);
    const text = { ago: `${span(now - at)} ago`, since: span(now - at), until: at > now ? `in ${span(at - now)}` : "now" }[time.dataset.when];
    if (time.textContent !== text) time.textContent = text;
  }
}

tick();
setInterval(tick, 1e3);
