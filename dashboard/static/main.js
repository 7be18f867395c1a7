// main.js starts what keeps an open page equal to the server's and opens what opens.
// Everything on a page is rendered by the server; without script it is a page that
// has to be reloaded.
import "./time.js";
import "./tips.js";
import "./theme.js";
import "./ask.js";
import "./copy.js";
import "./enroll.js";
import "./settings.js";
import "./live.js";
import "./filter.js";
import "./select.js";
import "./menu.js";
import "./keys.js";
import "./log.js";

document.body.classList.add("script");
