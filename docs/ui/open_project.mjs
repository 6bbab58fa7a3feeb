// Open a project as a UI does: bring it up to date, show its sessions, and follow them. Node 18, no packages.
//
//     node open_project.mjs ~/code/shop
//
// It uses the loopback listener: control.listen = "127.0.0.1:7717". SESSIOND_URL names another address,
// SESSIOND_TOKEN_FILE another token file.

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/** Asks the daemon; throws its own sentence when it refuses. */
export class Daemon {
  constructor(base, token) {
    this.base = base;
    this.headers = { Authorization: `Bearer ${token}` };
  }

  async ask(method, target, body) {
    const answer = await fetch(this.base + target, {
      method,
      headers: body ? { ...this.headers, "Content-Type": "application/json" } : this.headers,
      body: body && JSON.stringify(body),
    });
    const said = await answer.json();
    if (!answer.ok) throw new Error([said.error, said.hint].filter(Boolean).join("; "));
    return said;
  }

  /** Yields {kind, data} from the feed: first "connected", then changes; ends when the connection does. */
  async *events(signal) {
    const answer = await fetch(`${this.base}/events`, { headers: this.headers, signal });
    if (!answer.ok) throw new Error((await answer.json()).error);
    yield { kind: "connected" };
    let text = "";
    for await (const part of answer.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (text + part).split("\n\n");
      text = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(
          block.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).trim()]),
        );
        if (fields.event) yield { kind: fields.event, data: JSON.parse(fields.data) };
      }
    }
  }
}

async function refresh(daemon, folder) {
  // It answers once everything that differed is committed: what is read next is what was on disk.
  const counts = await daemon.ask("POST", "/rescan", { path: folder });
  const project = counts.rows[0].project;
  console.log(`${project}: ${counts.totals.sessions} sessions, ${counts.totals.written} brought up to date`);
  const answer = await daemon.ask("GET", `/sessions?project=${encodeURIComponent(project)}`);
  console.log(`as of ${answer.as_of}${answer.stale ? " (stale)" : ""}`);
  for (const row of answer.rows) {
    console.log(`  ${row.slug.padEnd(30)} ${(row.current_phase ?? "-").padEnd(10)} ${row.topic ?? ""}`);
  }
  return project;
}

async function follow(daemon, folder) {
  let project = null;
  for (;;) {
    try {
      for await (const { kind, data } of daemon.events()) {
        // Listen first, then look: nothing falls between the two.
        if (kind === "connected" || kind === "resync") project = await refresh(daemon, folder);
        else if (data.project === project) console.log(`${kind} ${data.slug}: ${data.phase}`);
      }
    } catch (error) {
      if (project === null) throw error;
    }
    // The daemon has gone, or is being restarted.
    await new Promise((done) => setTimeout(done, 2000));
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = process.env.SESSIOND_TOKEN_FILE ?? `${homedir()}/.local/state/sessiond/control-token`;
  try {
    const token = (await readFile(file, "utf8")).trim();
    const daemon = new Daemon(process.env.SESSIOND_URL ?? "http://127.0.0.1:7717", token);
    await follow(daemon, resolve(process.argv[2] ?? "."));
  } catch (error) {
    console.error(error.cause ? `${error.message}: ${error.cause.message}` : error.message);
    process.exitCode = 1;
  }
}
