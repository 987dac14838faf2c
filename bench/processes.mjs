import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const pathOf = (path) => fileURLToPath(new URL(path, import.meta.url));

/** glibc gives large blocks back to the system and takes them again, page by page: without these PyTorch is several times slower. */
const tuned = {
  MALLOC_MMAP_THRESHOLD_: "4294967296",
  MALLOC_TRIM_THRESHOLD_: "4294967296",
  MALLOC_TOP_PAD_: "268435456",
};

export const startOurs = (args) =>
  start("nablaflow", process.execPath, [pathOf("worker.mjs"), ...args.map(String)], {});

export const startPeer = (python, args) =>
  start(`PyTorch ${args.at(-1)}`, python, [pathOf("../reference/bench_peer.py"), ...args.map(String)], tuned);

/** A process that answers each line with one line of JSON; its first line tells facts of itself. */
async function start(name, command, args, env) {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, ...env } });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${name}: ${command} ${args.join(" ")} ended before it answered.`);
    return JSON.parse(value);
  };
  return {
    name,
    facts: await answer(),
    async ask(line) {
      child.stdin.write(`${line}\n`);
      return answer();
    },
    end: () => child.stdin.end(),
  };
}
