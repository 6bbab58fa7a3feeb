// As much of a browser as docs/ui/page.html needs: a document of plain objects, and a fetch that keeps the rules
// of cross-origin requests. Tells what happens as one JSON object a line.
//
//     node browser.mjs PAGE ORIGIN BASE TOKEN FOLDER

import { readFileSync } from "node:fs";

const [page, origin, base, token, folder] = process.argv.slice(2);
const tell = (kind, more) => process.stdout.write(`${JSON.stringify({ kind, ...more })}\n`);

class Element {
  #text = "";
  children = [];
  listeners = {};
  value = "";

  constructor(name) {
    this.name = name;
  }

  get textContent() {
    return this.#text;
  }

  set textContent(text) {
    this.#text = String(text);
    if (this.name === "said") tell("said", { text: this.#text });
  }

  set innerHTML(_) {
    throw new Error("markup");
  }

  append(...children) {
    this.children.push(...children);
  }

  replaceChildren(...children) {
    this.children = children;
    tell("rows", { rows: children.map((line) => line.children.map((cell) => cell.textContent)) });
  }

  addEventListener(name, listener) {
    this.listeners[name] = listener;
  }
}

const elements = {};
const document = {
  getElementById: (id) => (elements[id] ??= new Element(id)),
  createElement: (name) => new Element(name),
};

const SIMPLE = new Set(["accept", "accept-language", "content-language"]);
const asked = new Set();

async function preflight(url, method, names) {
  const answer = await fetch(url, {
    method: "OPTIONS",
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": method,
      "Access-Control-Request-Headers": names.join(","),
    },
  });
  await answer.text();
  const listed = (name) => (answer.headers.get(name) ?? "").toLowerCase().split(/ *, */);
  tell("preflight", { url, method, names, status: answer.status, headers: Object.fromEntries(answer.headers) });
  const methods = [...listed("access-control-allow-methods"), "get", "head", "post"];
  const allowed =
    answer.ok &&
    answer.headers.get("access-control-allow-origin") === origin &&
    methods.includes(method.toLowerCase()) &&
    names.every((name) => listed("access-control-allow-headers").includes(name));
  if (!allowed) throw new TypeError("the preflight failed");
}

async function crossing(url, { method = "GET", headers = {}, body, signal } = {}) {
  const names = Object.keys(headers).map((name) => name.toLowerCase()).filter((name) => !SIMPLE.has(name)).sort();
  if (names.length && !asked.has(`${method} ${url}`)) {
    await preflight(url, method, names);
    asked.add(`${method} ${url}`);
  }
  const answer = await fetch(url, { method, headers: { ...headers, Origin: origin }, body, signal });
  tell("answer", { url, method, status: answer.status, headers: Object.fromEntries(answer.headers) });
  if (answer.headers.get("access-control-allow-origin") !== origin) throw new TypeError("refused by the browser");
  return answer;
}

const script = /<script>([^]*)<\/script>/.exec(readFileSync(page, "utf8"))[1];
new Function("document", "fetch", script)(document, crossing);
Object.assign(document.getElementById("base"), { value: base });
Object.assign(document.getElementById("token"), { value: token });
Object.assign(document.getElementById("folder"), { value: folder });
document.getElementById("form").listeners.submit({ preventDefault() {} });
