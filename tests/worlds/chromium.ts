import { existsSync } from "node:fs";
import { tmpdir } from "node:os";

/** Debian's package chromium: a browser, and SwiftShader, which computes WebGPU on the processor. */
export const chromium = "/usr/bin/chromium";
const folder = "/usr/lib/chromium";
const driver = `${folder}/vk_swiftshader_icd.json`;

/** Set where these tests must not be skipped, as in .ci/run. */
export const required = process.env.NABLA_REQUIRE_BROWSER === "1";

/** What is missing for tests in a browser and on WebGPU, and how to get it; undefined: nothing. Said on stderr where tests are skipped for it. */
export function missingChromium(tests: string): string | undefined {
  const missing = [chromium, driver].filter((path) => !existsSync(path));
  if (missing.length === 0) return undefined;
  const told = `${missing.join(" and ")} missing: Debian's package chromium has both (apt-get install chromium)`;
  if (!required) process.stderr.write(`${tests} skipped, ${told}.\n`);
  return told;
}

/** Arguments with which the browser has WebGPU without a graphics card, and asks nothing of any network. */
export const chromiumArguments = [
  ...["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  ...["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"],
  "--disable-sync",
];

/** Environment in which a process finds SwiftShader as its Vulkan driver. */
export const swiftShader = (): NodeJS.ProcessEnv => ({
  ...process.env,
  VK_ICD_FILENAMES: driver,
  LD_LIBRARY_PATH: folder,
  XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
});
