import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError } from "../src/core/errors.ts";
import {
  commitOf,
  type DownloadProgress,
  fromHub,
  type Hub,
  HubError,
  HubUnreachable,
  hubFromEnvironment,
  hubIdOf,
  hubOf,
  parseHubId,
  showHubId,
} from "../src/hub/index.ts";
import { gitSha1, type HubStandIn, hubStandIn, sha256 } from "./hub-stand-in.ts";

const folder = mkdtempSync(join(tmpdir(), "nablaflow-hub-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TOKEN = "hf_kept-by-the-environment";
let standIn: HubStandIn;
let hub: Hub;
let notices: string[];
let progress: DownloadProgress[];
let caches = 0;
beforeEach(async () => {
  standIn = await hubStandIn();
  notices = [];
  progress = [];
  hub = {
    ...hubOf({ HF_ENDPOINT: `${standIn.endpoint}/`, HF_TOKEN: TOKEN }, join(folder, `cache-${caches++}`)),
    onNotice: (text) => notices.push(text),
    onProgress: (told) => progress.push(told),
  };
});
afterEach(() => standIn.close());

const id = parseHubId("owner/model");
const weights = Buffer.alloc(300_000, "weights ");
const files = {
  "config.json": "{}",
  "README.md": "---\nlicense: mit\n---\n",
  "model.safetensors": weights,
  "model.fp16.safetensors": weights.subarray(0, 1000),
  "pytorch_model.bin": "a pickle",
  "modeling.py": "print('code')",
  "picture of it.png": "png",
};

/** All files below a folder, links as files. */
const filesIn = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => !lstatSync(join(path, name)).isDirectory())
    .sort();
const blobs = () => filesIn(join(hub.cache, "models--owner--model", "blobs"));
const downloads = () => standIn.asked.filter(({ path }) => path.includes("/resolve/"));
const failure = async (work: Promise<unknown>): Promise<Error> =>
  work.then(
    () => expect.fail("it must be refused"),
    (error: Error) => error,
  );

describe("a hub id", () => {
  test.each([
    ["owner/name", { name: "owner/name", revision: "main" }],
    ["hf:owner/name", { name: "owner/name", revision: "main" }],
    ["o-1/n.a_me@v1.0", { name: "o-1/n.a_me", revision: "v1.0" }],
    ["hf:owner/name@main/a/b.onnx", { name: "owner/name", revision: "main", path: "a/b.onnx" }],
    ["owner/name/b.onnx", { name: "owner/name", revision: "main", path: "b.onnx" }],
    ["owner/name@refs/pr/7/b.onnx", { name: "owner/name", revision: "refs/pr/7", path: "b.onnx" }],
  ])("%s is read, and what is shown is read as the same", (text, expected) => {
    expect(parseHubId(text)).toEqual({ path: undefined, ...expected });
    expect(parseHubId(showHubId(parseHubId(text)))).toEqual(parseHubId(text));
  });

  test.each([
    "name",
    "hf:",
    "../name",
    "owner/..",
    "owner/name@",
    "owner/name@../../x",
    "owner/name@-x",
    "owner/name@a..b",
    "owner/name@main/../x",
    "owner/name@main//x",
    "owner/name@main/a\\b",
    "owner/name@main/c:x",
    "owner/na me",
    "own--er/name",
    "https://huggingface.co/owner/name",
  ])("%j is refused", (text) => {
    expect(() => parseHubId(text)).toThrow(ConfigError);
    expect(() => parseHubId(text)).toThrow(/hf:owner\/name@revision/);
  });

  test("a local path wins, and no typing error of one asks the hub", () => {
    const here = process.cwd();
    mkdirSync(join(folder, "own/there"), { recursive: true });
    process.chdir(folder);
    try {
      for (const local of [
        "own/there",
        "own/typo",
        "./owner/name",
        "../owner/name",
        "/owner/name",
        "~/name",
        "file.onnx",
      ])
        expect(hubIdOf(local), local).toBeUndefined();
      for (const local of ["assets/models/typo", "assets/typo", "runs/typo", "configs/typo", "a/b/c"])
        expect(hubIdOf(local), local).toBeUndefined();
      expect(hubIdOf("hf:own/there")?.name).toBe("own/there");
      expect(hubIdOf("owner/name@v1/a.onnx")?.path).toBe("a.onnx");
    } finally {
      process.chdir(here);
    }
  });
});

describe("the environment", () => {
  test("says where the hub and its cache are, and never shows the token", async () => {
    expect(hubOf({}, "c")).toMatchObject({ endpoint: "https://huggingface.co", cache: "c", offline: false });
    expect(hubOf({}, "c").token()).toBeUndefined();
    expect(hubOf({ HF_HUB_OFFLINE: "1" }, "c").offline).toBe(true);
    expect(hubOf({ HF_HUB_OFFLINE: "0" }, "c").offline).toBe(false);
    expect(JSON.stringify(hub)).not.toContain(TOKEN);
    const { HF_HUB_CACHE: before } = process.env;
    process.env.HF_HUB_CACHE = folder;
    expect((await hubFromEnvironment()).cache).toBe(folder);
    if (before === undefined) delete process.env.HF_HUB_CACHE;
    else process.env.HF_HUB_CACHE = before;
  });

  test.each([
    [{ HF_ENDPOINT: "huggingface.co" }, /HF_ENDPOINT must be/],
    [{ HF_ENDPOINT: `https://user:${TOKEN}@host` }, /HF_ENDPOINT must be/],
    [{ HF_ENDPOINT: "file:///etc" }, /HF_ENDPOINT must be/],
    [{ HF_TOKEN: `${TOKEN}\n` }, /HF_TOKEN holds characters/],
    [{ HF_TOKEN: TOKEN, HF_ENDPOINT: "http://example.org" }, /over https only/],
  ])("%j is refused without the token", (environment, message) => {
    expect(() => hubOf(environment, "c")).toThrow(message);
    expect(() => hubOf(environment, "c")).not.toThrow(TOKEN);
  });
});

describe("a download", () => {
  test("brings configurations, card and safetensors into the layout that Python's huggingface_hub reads", async () => {
    const commit = standIn.commit("owner/model", "main", files);
    const path = await fromHub(hub, id);
    const repo = join(hub.cache, "models--owner--model");
    expect(path).toBe(join(repo, "snapshots", commit));
    expect(filesIn(path)).toEqual(["README.md", "config.json", "model.safetensors"]);
    for (const name of filesIn(path)) {
      expect(readFileSync(join(path, name))).toEqual(Buffer.from(files[name as keyof typeof files]));
      expect(lstatSync(join(path, name)).isSymbolicLink()).toBe(process.platform !== "win32");
    }
    expect(readFileSync(join(repo, "refs/main"), "utf8")).toBe(commit);
    const hashes = [gitSha1(Buffer.from("{}")), gitSha1(Buffer.from(files["README.md"])), sha256(weights)];
    expect(blobs()).toEqual(hashes.sort());
    expect(progress.at(-1)).toMatchObject({ name: "owner/model", received: progress.at(-1)!.total });
    expect(standIn.asked.filter(({ path }) => path.includes("/tree/")).length).toBe(3); // pages
  });

  test("is made once: what is cached is not loaded again, nor what a new commit has in common", async () => {
    standIn.commit("owner/model", "main", files);
    await fromHub(hub, id);
    standIn.asked.length = 0;
    await fromHub(hub, id);
    expect(downloads()).toEqual([]);
    const commit = standIn.commit("owner/model", "main", { ...files, "config.json": '{"new": true}' });
    const path = await fromHub(hub, id);
    expect(path).toContain(commit);
    expect(downloads().map(({ path }) => path)).toEqual([`/owner/model/resolve/${commit}/config.json`]);
  });

  test("made twice at the same time is whole both times", async () => {
    standIn.commit("owner/model", "main", files);
    const [one, other] = await Promise.all([fromHub(hub, id), fromHub(hub, id)]);
    expect(one).toBe(other);
    expect(readFileSync(join(one, "model.safetensors"))).toEqual(weights);
    expect(blobs().some((name) => name.endsWith(".incomplete"))).toBe(false);
    expect(filesIn(one)).toEqual(["README.md", "config.json", "model.safetensors"]);
  });

  test("the token goes to the hub, and not along a redirect to another server", async () => {
    standIn.commit("owner/model", "main", files);
    await fromHub(hub, id);
    for (const { host, authorization } of standIn.asked)
      expect(authorization).toBe(host === "hub" ? `Bearer ${TOKEN}` : undefined);
    expect(standIn.asked.some(({ host }) => host === "store")).toBe(true);
    for (const name of filesIn(hub.cache))
      expect(readFileSync(join(hub.cache, name), "latin1").includes(TOKEN), name).toBe(false);
  });

  test("one file is taken by its path, of whatever kind, and a folder by its path", async () => {
    const commit = standIn.commit("owner/model", "v1", { ...files, "onnx/a b.onnx": "net", "sub/config.json": "{}" });
    const file = await fromHub(hub, parseHubId("owner/model@v1/onnx/a b.onnx"));
    expect(readFileSync(file, "utf8")).toBe("net");
    expect(readFileSync(await fromHub(hub, parseHubId(`owner/model@${commit}/pytorch_model.bin`)), "utf8")).toBe(
      "a pickle",
    );
    expect(filesIn(await fromHub(hub, parseHubId("owner/model@v1/sub")))).toEqual(["config.json"]);
    await expect(fromHub(hub, parseHubId("owner/model@v1/onnx/ab.onnx"))).rejects.toThrow(
      /did you mean onnx\/a b\.onnx/,
    );
  });

  test("of a diffusers repository: its parts, in the variant where they have it, and nothing else", async () => {
    standIn.commit("owner/model", "main", {
      "model_index.json": '{"_class_name": "StableDiffusionPipeline"}',
      "v1-5.safetensors": "all of it again",
      "unet/config.json": "{}",
      "unet/diffusion_pytorch_model.safetensors": "1",
      "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors": "2",
      "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors": "3",
      "unet/diffusion_pytorch_model.safetensors.index.fp16.json": "{}",
      "unet/diffusion_pytorch_model.bin": "4",
      "text_encoder/model.safetensors": "5",
      "tokenizer/merges.txt": "#",
      "safety_checker/model.safetensors": "6",
      "onnx/deep/model.safetensors": "7",
    });
    const half = filesIn(await fromHub(hub, id, { variant: "fp16" }));
    expect(half).toEqual([
      "model_index.json",
      "text_encoder/model.safetensors",
      "tokenizer/merges.txt",
      "unet/config.json",
      "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
      "unet/diffusion_pytorch_model.fp16-00002-of-00002.safetensors",
      "unet/diffusion_pytorch_model.safetensors.index.fp16.json",
    ]);
    expect(downloads().at(-1)!.path).toMatch(/model_index\.json$/); // last, so that a folder that has it is whole
    const both = filesIn(await fromHub(hub, id));
    expect(both.filter((name) => !half.includes(name))).toEqual(["unet/diffusion_pytorch_model.safetensors"]);
    await expect(fromHub(hub, id, { variant: "bf16" })).rejects.toThrow(/"bf16"\. It has fp16/);
  });
});

describe("a connection that breaks", () => {
  test("is taken up where it broke, by a range", async () => {
    standIn.commit("owner/model", "main", files);
    standIn.faults.cuts.push(100_000, 50_000);
    const path = await fromHub(hub, id);
    expect(readFileSync(join(path, "model.safetensors"))).toEqual(weights);
    const ranges = standIn.asked.filter(({ host }) => host === "store").map(({ range }) => range);
    expect(ranges).toEqual([undefined, "bytes=100000-", "bytes=150000-"]);
  });

  test("without progress is an error, and the next try goes on from what came", async () => {
    standIn.commit("owner/model", "main", files);
    standIn.faults.cuts.push(100_000, 0);
    const error = await failure(fromHub(hub, id));
    expect(error).toBeInstanceOf(HubUnreachable);
    expect(error.message).toMatch(/broke the connection.*goes on from what has come/);
    expect(blobs()).toEqual([`${sha256(weights)}.free.incomplete`]);
    standIn.asked.length = 0;
    await fromHub(hub, id);
    expect(standIn.asked.filter(({ host }) => host === "store").map(({ range }) => range)).toEqual(["bytes=100000-"]);
    expect(blobs().some((name) => name.endsWith(".incomplete"))).toBe(false);
  });

  test("what a killed process left is gone on with; what a living one writes is not touched", async () => {
    standIn.commit("owner/model", "main", files);
    const place = join(hub.cache, "models--owner--model/blobs");
    mkdirSync(place, { recursive: true });
    const beginning = (owner: string) => join(place, `${sha256(weights)}.${owner}.incomplete`);
    writeFileSync(beginning(`${process.ppid}-0`), "of a living process");
    writeFileSync(beginning("4194305-0"), weights.subarray(0, 1234)); // above the largest process number of Linux
    await fromHub(hub, id);
    expect(standIn.asked.filter(({ host }) => host === "store").map(({ range }) => range)).toEqual(["bytes=1234-"]);
    expect(readFileSync(beginning(`${process.ppid}-0`), "utf8")).toBe("of a living process");
  });

  test("a server without ranges sends all again", async () => {
    standIn.commit("owner/model", "main", files);
    standIn.faults.noRanges = true;
    standIn.faults.cuts.push(100_000);
    await fromHub(hub, id);
    expect(blobs()).toContain(sha256(weights));
  });

  test("interrupting stops it and keeps what came", async () => {
    standIn.commit("owner/model", "main", files);
    const stop = new AbortController();
    const stopped = fromHub({ ...hub, signal: stop.signal, onProgress: () => stop.abort() }, id);
    expect((await failure(stopped)).name).toBe("AbortError");
    expect(blobs().every((name) => name.endsWith(".free.incomplete"))).toBe(true);
  });
});

describe("what is not as listed is refused", () => {
  test.each(["model.safetensors", "config.json"])("%s with another content is not kept", async (name) => {
    standIn.commit("owner/model", "main", files);
    const listed = Buffer.from(files[name as keyof typeof files]);
    standIn.faults.content = (path, content) => {
      if (path !== name) return content;
      const other = Buffer.from(content);
      other[1]! ^= 1;
      return other;
    };
    const error = await failure(fromHub(hub, id));
    expect(error).toBeInstanceOf(HubError);
    const [kind, hash] = name === "config.json" ? ["git-sha1", gitSha1(listed)] : ["sha256", sha256(listed)];
    expect(error.message).toContain(`must have the ${kind} ${hash}`);
    expect(blobs().some((blob) => blob.startsWith(hash))).toBe(false);
    expect(existsSync(join(hub.cache, "models--owner--model/snapshots", await commitOf(hub, id), name))).toBe(false);
    standIn.faults.content = undefined as never;
    await fromHub(hub, id);
  });

  test("more and fewer bytes than listed", async () => {
    standIn.commit("owner/model", "main", files);
    standIn.faults.content = (_, content) => Buffer.concat([content, Buffer.from("more")]);
    await expect(fromHub(hub, id)).rejects.toThrow(/sends more of model\.safetensors/);
    rmSync(hub.cache, { recursive: true });
    standIn.faults.content = (_, content) => content.subarray(0, -1);
    await expect(fromHub(hub, id)).rejects.toThrow(HubError);
  });

  const oid = "0".repeat(40);
  test.each<[string, unknown, RegExp]>([
    [
      "a path upwards",
      [{ type: "file", path: "../../evil.json", size: 1, oid }],
      /"\.\.\/\.\.\/evil\.json".*leads out/,
    ],
    ["an absolute path", [{ type: "file", path: "/etc/cron.d/x", size: 1, oid }], /leads out/],
    ["a path upwards on Windows", [{ type: "file", path: "a\\..\\..\\x.json", size: 1, oid }], /leads out/],
    ["a drive", [{ type: "file", path: "C:x.json", size: 1, oid }], /leads out/],
    ["a path in place of a hash", [{ type: "file", path: "a.json", size: 1, oid: "../../x" }], /oid/],
    ["an absurd size", [{ type: "file", path: "a.json", size: 2 ** 50, oid }], /size/],
    ["a size below zero", [{ type: "file", path: "a.json", size: -1, oid }], /size/],
    ["an object", { error: "no" }, /no JSON list/],
    ["entries that are none", [null, 3], /refused/],
  ])("a listing with %s", async (_, listing, message) => {
    standIn.commit("owner/model", "main", { "config.json": "{}" });
    standIn.faults.listing = () => listing;
    const error = await failure(fromHub(hub, id));
    expect(error).toBeInstanceOf(HubError);
    expect(error.message).toMatch(message);
    expect(downloads()).toEqual([]);
  });

  test("more than the disk holds, before anything is loaded", async () => {
    standIn.commit("owner/model", "main", { "config.json": "{}" });
    standIn.faults.listing = () =>
      Array.from({ length: 1000 }, (_, k) => ({
        type: "file",
        path: `model-${String(k).padStart(5, "0")}-of-01000.safetensors`,
        size: 2 ** 40,
        oid: String(k).padStart(40, "0"),
      }));
    await expect(fromHub(hub, id)).rejects.toThrow(/needs \d+\.\d GB, but .* has .* left.*HF_HUB_CACHE/);
    expect(downloads()).toEqual([]);
  });

  test("a listing without end, and one that goes on elsewhere, where no token goes", async () => {
    standIn.commit("owner/model", "main", { "config.json": "{}" });
    standIn.faults.next = `${standIn.endpoint}/api/models/owner/model/tree/${await commitOf(hub, id)}`;
    await expect(fromHub(hub, id)).rejects.toThrow(/more than \d+ pages/);
    const other = await hubStandIn();
    try {
      standIn.faults.next = `${other.endpoint}/api/models/owner/model/tree/main`;
      await expect(fromHub(hub, id)).rejects.toThrow(/another address/);
      expect(other.asked).toEqual([]);
    } finally {
      other.close();
    }
  });

  test("a repository with nothing to read", async () => {
    standIn.commit("owner/model", "main", { "pytorch_model.bin": "pickle", "x.py": "code" });
    await expect(fromHub(hub, id)).rejects.toThrow(/no file that could be read/);
    expect(downloads()).toEqual([]);
  });
});

describe("refusals of the hub say the way out, and never the token", () => {
  test.each<[string, { code: number; error?: string }, new (...of: never[]) => Error, RegExp]>([
    [
      "gated",
      { code: 403, error: "GatedRepo" },
      ConfigError,
      /gated.*Accept its licence at .*\/owner\/model.*HF_TOKEN/,
    ],
    ["a bad token", { code: 401 }, ConfigError, /private or gated \(status 401\)/],
    ["unknown or private", { code: 401, error: "RepoNotFound" }, ConfigError, /no model owner\/model.*local path/],
    ["unknown", { code: 404, error: "RepoNotFound" }, ConfigError, /no model owner\/model/],
    ["no such revision", { code: 404, error: "RevisionNotFound" }, ConfigError, /no revision "main"/],
    ["overloaded", { code: 503 }, HubUnreachable, /status 503.*does not hold all of it/],
  ])("%s", async (_, status, kind, message) => {
    standIn.commit("owner/model", "main", files);
    standIn.faults.status = status;
    const error = await failure(fromHub(hub, id));
    expect(error).toBeInstanceOf(kind);
    expect(error.message).toMatch(message);
    expect(`${error.message}${error.stack}${String(error.cause)}`).not.toContain(TOKEN);
  });

  test("an unknown model and an unknown revision, by the hub's own answer", async () => {
    standIn.commit("owner/model", "main", files);
    await expect(fromHub(hub, parseHubId("owner/other"))).rejects.toThrow(/There is no model owner\/other/);
    await expect(fromHub(hub, parseHubId("owner/model@v9"))).rejects.toThrow(/no revision "v9"/);
  });
});

describe("offline", () => {
  test("a cached model is taken, whether the network is down or HF_HUB_OFFLINE is set", async () => {
    const commit = standIn.commit("owner/model", "main", files);
    const path = await fromHub(hub, id);
    standIn.asked.length = 0;
    expect(await fromHub({ ...hub, offline: true }, id)).toBe(path);
    expect(standIn.asked).toEqual([]);
    expect(notices).toEqual([]);
    standIn.close();
    expect(await fromHub(hub, id)).toBe(path);
    expect(await commitOf(hub, id)).toBe(commit);
    expect(notices[0]).toMatch(/cannot be reached.*Taking hf:owner\/model@main from the cache/);
    expect(await fromHub({ ...hub, offline: true }, parseHubId(`owner/model@${commit}/config.json`))).toBe(
      join(path, "config.json"),
    );
  });

  test("what is not cached whole is an error with the way out", async () => {
    standIn.commit("owner/model", "main", files);
    const none = await failure(fromHub({ ...hub, offline: true }, id));
    expect(none).toBeInstanceOf(HubUnreachable);
    expect(none.message).toMatch(/HF_HUB_OFFLINE is set.*hf:owner\/model@main.*Unset.*HF_HUB_CACHE.*local path/);
    expect(standIn.asked).toEqual([]);
    standIn.faults.cuts.push(1000, 0);
    await failure(fromHub(hub, id)); // partly there
    await expect(fromHub({ ...hub, offline: true }, id)).rejects.toThrow(/does not hold all of it/);
    standIn.close();
    await expect(fromHub(hub, id)).rejects.toThrow(/cannot be reached/);
  });
});
