// Serves these pages, the built package and the few modules it needs to a browser on this machine, and nothing else.
//   node examples/browser/server.mjs [--port 8080] [--library dist]
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import ts from "typescript";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { values: options } = parseArgs({
  options: { port: { type: "string", default: "8080" }, library: { type: "string", default: join(root, "dist") } },
});

const library = resolve(options.library);
if (!existsSync(join(library, "web.js"))) {
  console.error(`The pages load the built package, but ${library} does not hold it: npm run build makes dist/.`);
  process.exit(1);
}

/** Start of an address → folder it shows; the first that fits counts. */
const folders = [
  ["/nablaflow/", library],
  ["/modules/onnxruntime-web/", join(root, "node_modules/onnxruntime-web/dist")],
  ["/modules/protobuf/", join(root, "node_modules/@bufbuild/protobuf/dist/esm")],
  ["/modules/onnx-buf/", join(root, "node_modules/onnx-buf/dist")],
  ["/modules/zod/", join(root, "node_modules/zod")],
  ["/", fileURLToPath(new URL(".", import.meta.url))],
];

const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const ownModules = Object.entries(exports)
  .filter(([, target]) => target.default?.startsWith("./dist/"))
  .map(([name, target]) => [name.replace(".", "nablaflow"), target.default.replace("./dist/", "/nablaflow/")]);

/** What bare names in `import` mean, which a browser has to be told. */
const importMap = {
  imports: {
    ...Object.fromEntries(ownModules),
    "onnxruntime-web/wasm": "/modules/onnxruntime-web/ort.wasm.min.mjs",
    "onnxruntime-web/webgpu": "/modules/onnxruntime-web/ort.webgpu.min.mjs",
    "@bufbuild/protobuf": "/modules/protobuf/index.js",
    "@bufbuild/protobuf/codegenv2": "/modules/protobuf/codegenv2/index.js",
    "@bufbuild/protobuf/wire": "/modules/protobuf/wire/index.js",
    "onnx-buf": "/modules/onnx-buf/onnx_pb.js",
    zod: "/modules/zod/index.js",
  },
};

const types = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".ts": "text/javascript; charset=utf-8",
  ".wasm": "application/wasm",
};

/** Without these two, a browser gives a page no shared memory, and ONNX Runtime one thread. */
const isolation = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** The file that an address stands for, inside its folder and of a known type; otherwise undefined. */
function fileAt(address) {
  const path = decodeURIComponent(address === "/" ? "/index.html" : address);
  const [start, folder] = folders.find(([prefix]) => path.startsWith(prefix)) ?? [];
  if (folder === undefined || !(extname(path) in types)) return undefined;
  const file = join(folder, path.slice(start.length));
  return file.startsWith(join(folder, sep)) && statSync(file, { throwIfNoEntry: false })?.isFile() ? file : undefined;
}

function contentOf(file) {
  const text = () => readFileSync(file, "utf8");
  if (file.endsWith(".html"))
    return text().replace("<!-- import map -->", `<script type="importmap">${JSON.stringify(importMap)}</script>`);
  if (!file.endsWith(".ts")) return readFileSync(file);
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022, verbatimModuleSyntax: true };
  return ts.transpileModule(text(), { compilerOptions }).outputText;
}

const server = createServer(({ url, method }, response) => {
  let file;
  try {
    file = fileAt(new URL(url, "http://localhost").pathname);
  } catch {
    // an address that is none: not found, below
  }
  if (file === undefined || method !== "GET") {
    response.writeHead(404, { ...isolation, "Content-Type": "text/plain" }).end("not found\n");
    return;
  }
  response
    .writeHead(200, { ...isolation, "Content-Type": types[extname(file)], "Cache-Control": "no-cache" })
    .end(contentOf(file));
});
server.on("error", ({ code, message }) => {
  console.error(code === "EADDRINUSE" ? `Port ${options.port} is in use: take another with --port.` : message);
  process.exit(1);
});
server.listen(Number(options.port), "127.0.0.1", () => console.log(`http://localhost:${server.address().port}/`));
