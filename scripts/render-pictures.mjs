// Renders the animal pictures of assets/pictures/animals-32 from open icon sets: one sprite sheet per family, index.json.
//
//   npm install --prefix DIR @iconify-json/noto@1.2.9 @iconify-json/noto-v1@1.2.5 @iconify-json/fxemoji@1.2.2 \
//     @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/fluent-emoji@1.2.7 @iconify-json/twemoji@1.2.5 @iconify-json/emojione@1.2.3
//   node scripts/render-pictures.mjs --icons DIR [--out assets/pictures/animals-32]
//
// The icon packages are an input of this script only, never a dependency of the project. Share-alike sets are left out.
// Each picture is cropped to what is drawn, fitted into 60×60 and centred in a 64×64 RGBA cell (straight alpha).

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";

const { values: options } = parseArgs({
  options: { icons: { type: "string" }, out: { type: "string", default: "assets/pictures/animals-32" } },
});
if (!options.icons)
  throw new Error("--icons DIR is required: a folder whose node_modules has the @iconify-json packages.");

const CELL = 64; // pixels
const DRAWN = 60; // longest side of the drawing inside a cell
const COLUMNS = 12;
const RENDER = 384; // size at which the SVG is drawn before it is reduced

/**
 * The sets. `split`: the denoiser trains on "train" only; twemoji and emojione are two unseen designs for testing.
 * `licence` is the artwork's: FxEmojis' LICENSE.md puts its code under Apache-2.0 (as Iconify states), its pictures under CC-BY-4.0.
 */
const STYLES = [
  { style: "noto", version: "1.2.9", family: "noto", split: "train", licence: "Apache-2.0" },
  { style: "noto-v1", version: "1.2.5", family: "noto", split: "train", licence: "Apache-2.0" },
  { style: "fxemoji", version: "1.2.2", family: "fxemoji", split: "train", licence: "CC-BY-4.0" },
  { style: "fluent-emoji-flat", version: "1.2.6", family: "fluent", split: "train", licence: "MIT" },
  { style: "fluent-emoji", version: "1.2.7", family: "fluent", split: "train", licence: "MIT" },
  { style: "twemoji", version: "1.2.5", family: "twemoji", split: "test", licence: "CC-BY-4.0" },
  { style: "emojione", version: "1.2.3", family: "emojione", split: "test", licence: "CC-BY-4.0" },
];

/** Icon names by animal. A set that lacks a name goes without it. */
const ICONS = {
  cat: ["cat", "black-cat", "cat-face"],
  dog: ["dog", "dogside", "poodle", "dog-face"],
  horse: ["horse", "horse-face", "horseface"],
  monkey: ["monkey", "monkey-face", "monkeyface"],
  rabbit: ["rabbit", "rabbit-face"],
  zebra: ["zebra"],
  spider: ["spider"],
  bird: ["bird", "black-bird", "blackbird", "dove"],
  sheep: ["ewe", "ram", "sheep"],
  deer: ["deer"],
  cow: ["cow", "cow-face", "cowface"],
  goat: ["goat"],
  lion: ["lion", "lion-face"],
  tiger: ["tiger", "tigerside", "tiger-face"],
  bear: ["bear", "bear-face", "polar-bear"],
  raccoon: ["raccoon"],
  fox: ["fox"],
  wolf: ["wolf", "wolfface"],
  lizard: ["lizard"],
  beetle: ["beetle", "lady-beetle", "ladybeetle"],
  ant: ["ant"],
  butterfly: ["butterfly"],
  fish: ["fish", "tropical-fish", "tropicalfish"],
  shark: ["shark"],
  whale: ["whale", "spouting-whale", "spurtingwhale"],
  dolphin: ["dolphin"],
  squirrel: ["chipmunk"],
  mouse: ["mouse", "mouseside", "mouse-face"],
  rat: ["rat"],
  snake: ["snake"],
  turtle: ["turtle"],
  frog: ["frog", "frog-face"],
  chicken: ["chicken", "rooster"],
  duck: ["duck"],
  goose: ["goose"],
  bee: ["honeybee"],
  pig: ["pig", "pig-face"],
  turkey: ["turkey"],
  fly: ["fly"],
  llama: ["llama"],
  camel: ["camel", "dromedarycamel", "two-hump-camel", "bactriancamel"],
  bat: ["bat"],
  gorilla: ["gorilla"],
  hedgehog: ["hedgehog"],
  kangaroo: ["kangaroo"],
};

/** Icons that show a head only, in every set, and the ones that do in one set (seen in the rendered sheets). */
const FACE = /face$|^(polar-)?bear$|^lion$|^fox$|^wolf$|^frog$/;
const FACE_IN = {
  noto: ["chicken"],
  "noto-v1": ["deer", "gorilla"],
  fxemoji: ["cat", "dog", "bird", "tiger", "mouse", "chicken", "pig"],
  "fluent-emoji-flat": ["raccoon", "chicken"],
  "fluent-emoji": ["raccoon", "chicken"],
  twemoji: ["raccoon", "chicken", "deer", "gorilla", "zebra"],
  emojione: ["deer", "gorilla", "camel"],
};

function readSet(style, version) {
  const folder = join(options.icons, "node_modules", "@iconify-json", style);
  const { version: found } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  if (found !== version) throw new Error(`@iconify-json/${style} must be ${version}, but ${found} is installed.`);
  return JSON.parse(readFileSync(join(folder, "icons.json"), "utf8"));
}

/** One icon as CELL×CELL straight-alpha RGBA bytes. */
async function renderIcon(set, name) {
  const icon = set.icons[name];
  const width = icon.width ?? set.width;
  const height = icon.height ?? set.height;
  const box = `${icon.left ?? set.left ?? 0} ${icon.top ?? set.top ?? 0} ${width} ${height}`;
  const scale = RENDER / Math.max(width, height);
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${box}" width="${width * scale}" height="${height * scale}">${icon.body}</svg>`;
  const { data, info } = await sharp(Buffer.from(svg)).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  const drawn = boundsOfDrawing(data, info.width, info.height);
  const fit = DRAWN / Math.max(drawn.width, drawn.height);
  const inner = {
    width: Math.max(1, Math.round(drawn.width * fit)),
    height: Math.max(1, Math.round(drawn.height * fit)),
  };
  const left = Math.floor((CELL - inner.width) / 2);
  const top = Math.floor((CELL - inner.height) / 2);
  return sharp(data, { raw: { width: info.width, height: info.height, channels: 4 } })
    .extract(drawn)
    .resize({ ...inner, fit: "fill", kernel: "mitchell" })
    .extend({ left, top, right: CELL - inner.width - left, bottom: CELL - inner.height - top, background: "#00000000" })
    .raw()
    .toBuffer();
}

function boundsOfDrawing(rgba, width, height) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (rgba[(y * width + x) * 4 + 3] < 16) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}

const animals = readFileSync(join(options.out, "animals.txt"), "utf8").trim().split("\n");
const families = new Map(); // family → its cells, CELL×CELL RGBA each
const pictures = [];
for (const { style, version, family } of STYLES) {
  const set = readSet(style, version);
  const cells = families.get(family) ?? [];
  families.set(family, cells);
  for (const animal of animals) {
    for (const icon of ICONS[animal]) {
      if (!set.icons[icon]) continue; // also skips aliases, which would draw the same picture twice
      const view = FACE.test(icon) || FACE_IN[style].includes(icon) ? "face" : "body";
      pictures.push({ animal, style, view, cell: cells.length, icon });
      cells.push(await renderIcon(set, icon));
    }
  }
}

mkdirSync(options.out, { recursive: true });
for (const [family, cells] of families) {
  const rows = Math.ceil(cells.length / COLUMNS);
  const width = COLUMNS * CELL;
  const sheet = Buffer.alloc(width * rows * CELL * 4);
  cells.forEach((cell, at) => {
    const origin = (Math.floor(at / COLUMNS) * CELL * width + (at % COLUMNS) * CELL) * 4;
    for (let y = 0; y < CELL; y++) cell.copy(sheet, origin + y * width * 4, y * CELL * 4, (y + 1) * CELL * 4);
  });
  await sharp(sheet, { raw: { width, height: rows * CELL, channels: 4 } })
    .png({ compressionLevel: 9, adaptiveFiltering: true })
    .toFile(join(options.out, `${family}.png`));
}
const styles = STYLES.map(({ style, version, family, split, licence }) => {
  return { style, family, split, sheet: `${family}.png`, source: `@iconify-json/${style}@${version}`, licence };
});
const lines = (items) => `[\n${items.map((item) => `    ${JSON.stringify(item)}`).join(",\n")}\n  ]`;
writeFileSync(
  join(options.out, "index.json"),
  `{
  "format": "nablaflow-pictures-1",
  "cell": ${CELL},
  "columns": ${COLUMNS},
  "animals": ${JSON.stringify(animals)},
  "styles": ${lines(styles)},
  "pictures": ${lines(pictures)}
}\n`,
);

const missing = STYLES.map(({ style }) => {
  const has = new Set(pictures.filter((picture) => picture.style === style).map((picture) => picture.animal));
  return `${style}: ${pictures.filter((p) => p.style === style).length} pictures, lacks ${animals.filter((a) => !has.has(a)).join(" ") || "none"}`;
});
console.log(missing.join("\n"));
