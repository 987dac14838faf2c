export { type ContactSheetOptions, contactSheet, type ImageBatch } from "./contact-sheet.ts";
export { decodePng, encodePng, type RasterImage } from "./png.ts";
export { insertPngText, readPngText } from "./png-text.ts";
