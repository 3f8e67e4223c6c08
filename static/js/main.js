// Everything a page needs, each in a file of its own.

import "./csrf.js";
import "./theme.js";
import "./menu.js";
import "./keys.js";
import "./times.js";
import "./passkey.js"; // before once.js, which sees whether it holds a form back
import "./once.js";
import "./copy.js";
import "./focus.js";
import "./panel.js";
import "./trouble.js";
import "./counts.js";
import "./live.js";
