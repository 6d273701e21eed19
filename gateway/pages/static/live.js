// Keeps a page as it is now, without loading it anew: the server says which parts changed, and how old they are.
"use strict";

const age = document.getElementById("age");
const main = document.getElementById("main");
const QUIET = 15000; // ms without a word, after which the page says so
let source = null;
let heardAt = Date.now();

// --- Times, by the visitor's clock and in the visitor's words -----------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const calendar = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const SPANS = {
  minute: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }),
  hour: new Intl.DateTimeFormat(undefined, { hour: "numeric" }),
  day: new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "numeric" }),
};
const DAY = 86400000;

function sayTime(element) {
  const at = Number(element.dataset.at);
  const said = Math.abs(Date.now() - at) < DAY / 2 ? clock.format(at) : calendar.format(at);
  if (element.textContent !== said) element.textContent = said;
}

function sayMark(element) {
  const said = SPANS[element.dataset.span].format(Number(element.dataset.mark));
  if (element.textContent !== said) element.textContent = said;
}

function saySince(element) {
  const seconds = Math.max(0, Math.floor((Date.now() - Number(element.dataset.since)) / 1000));
  const long = seconds < 100 ? `${seconds} s` : seconds < 6000 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
  const said = "ago" in element.dataset ? `${long} ago` : long;
  if (element.textContent !== said) element.textContent = said;
}

function sayTimes() {
  document.querySelectorAll("[data-at]").forEach(sayTime);
  document.querySelectorAll("[data-mark]").forEach(sayMark);
  document.querySelectorAll("[data-since]").forEach(saySince);
}

// --- Changing only what changed, so that focus, selection and what was opened stay --------------------------------

const SAID_HERE = ["data-at", "data-mark", "data-since"]; // elements whose words are made above

function isSame(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id || "") === (fresh.id || "");
}

function exchange(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (!SAID_HERE.some((name) => old.hasAttribute(name))) exchangeChildren(old, fresh);
}

function exchangeChildren(old, fresh) {
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const kept = (child.id && named.get(child.id)) || null;
    if (kept && kept !== place) {
      old.insertBefore(kept, place);
      exchange(kept, child);
    } else if (place && isSame(place, child)) {
      exchange(place, child);
      place = place.nextSibling;
    } else {
      old.insertBefore(document.importNode(child, true), place);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

// --- What the server says -----------------------------------------------------------------------------------------

function sayAge(standing, text) {
  age.dataset.standing = standing;
  const dot = document.createElement("span");
  dot.className = { current: "dot ok", behind: "dot warn" }[standing] || "dot bad";
  age.replaceChildren(dot, ` ${text}`);
}

function tellAge({ standing, at, as_of: asOf, about }) {
  if (standing === "current") sayAge(standing, `Current as of ${clock.format(at)}`);
  else if (standing === "behind") sayAge(standing, `Behind: ${about}.${asOf ? ` All up to ${clock.format(asOf)} is.` : ""}`);
  else sayAge(standing, `Not known how old: ${about}.${asOf ? ` Newest shown: ${clock.format(asOf)}.` : ""}`);
}

function heard(event) {
  const said = JSON.parse(event.data);
  if (said.over) {
    source.close();
    location.reload();
    return;
  }
  if (said.parts) {
    const fresh = new DOMParser().parseFromString(`<main>${said.parts.main}</main>`, "text/html").querySelector("main");
    exchangeChildren(main, fresh);
    sayTimes();
    main.dataset.changes = String(Number(main.dataset.changes || 0) + 1);
  }
  if (said.trouble) {
    sayAge("unknown", `${said.trouble}. What you see is from ${clock.format(heardAt)}.`);
  } else {
    heardAt = Date.now();
    tellAge(said.age);
  }
}

function listen() {
  if (source || document.hidden || !document.body.dataset.live) return;
  source = new EventSource(document.body.dataset.live);
  source.addEventListener("said", heard);
}

function rest() {
  if (source) source.close();
  source = null;
}

function lookAround() {
  sayTimes();
  if (!source || Date.now() - heardAt < QUIET) return;
  sayAge("unknown", `No word from the server since ${clock.format(heardAt)}: what you see is from then.`);
  if (source.readyState === EventSource.CLOSED) {
    rest();
    listen();
  }
}

// A page that nobody sees needs no connection, and a browser has few for one server.
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
addEventListener("pagehide", rest);
addEventListener("pageshow", listen);
setInterval(lookAround, 1000);
sayTimes();
listen();
