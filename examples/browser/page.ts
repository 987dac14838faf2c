// What the three pages share: the form that starts and stops a training, and the line that tells how it goes.
import type { Runtime } from "nablaflow/runtime";
import { type WebProvider, webRuntime } from "nablaflow/runtime/web";

export const element = <Type extends HTMLElement>(id: string) => document.getElementById(id) as Type;

export interface Started {
  runtime: Runtime;
  updates: number;
  /** Aborted by the Stop button. */
  signal: AbortSignal;
  /** Shows a line of text. */
  tell(text: string): void;
  /** Lets the browser draw and answer the buttons. */
  breathe(): Promise<void>;
}

/** Lets the form of the page start `train`. The state is `data-state` of body: ready, running, done or failed. */
export function whenStarted(train: (started: Started) => Promise<void>): void {
  const form = element<HTMLFormElement>("controls");
  const [start, stop] = [element<HTMLButtonElement>("start"), element<HTMLButtonElement>("stop")];
  const tell = (text: string) => {
    element("status").textContent = text;
  };
  const state = (name: "ready" | "running" | "done" | "failed") => {
    document.body.dataset.state = name;
    start.disabled = name === "running";
    stop.disabled = name !== "running";
  };
  let stopping = new AbortController();
  stop.addEventListener("click", () => stopping.abort());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    stopping = new AbortController();
    const chosen = new FormData(form);
    const [provider, threads] = String(chosen.get("backend")).split(" ") as [WebProvider, string];
    state("running");
    tell("Starting ONNX Runtime …");
    try {
      const runtime = await webRuntime({ provider, threads: Number(threads) });
      const breathe = () => new Promise<void>((resolve) => setTimeout(resolve));
      await train({ runtime, updates: Number(chosen.get("updates")), signal: stopping.signal, tell, breathe });
      state("done");
    } catch (error) {
      tell((error as Error).message);
      state("failed");
    }
  });
  state("ready");
}
