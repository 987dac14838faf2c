import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { crc32c, maskedCrc32c } from "../src/run/crc32c.ts";
import { TensorBoardWriter } from "../src/run/tensorboard.ts";

const folder = mkdtempSync(join(tmpdir(), "nablaflow-tensorboard-"));
afterAll(() => rmSync(folder, { recursive: true }));
const now = (): Date => new Date(Date.UTC(2026, 0, 2, 0, 0, 0, 250));

describe("CRC-32C", () => {
  // The check value of the CRC catalogue, and the vectors of RFC 3720, B.4.
  test.each<[string, Uint8Array, number]>([
    ["123456789", new TextEncoder().encode("123456789"), 0xe3069283],
    ["nothing", new Uint8Array(0), 0],
    ["32 zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 times ff", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["0 to 31", Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ["31 to 0", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ])("%s", (_, bytes, answer) => {
    expect(crc32c(bytes)).toBe(answer);
  });
});

test("the file is byte for byte that of TensorBoard's own writer (reference/tensorboard_golden.py)", () => {
  const writer = new TensorBoardWriter(folder, { purgeStep: 7, now });
  writer.scalars(7, { "loss/policy": 0.1, "reward ∇": -0 });
  const png = Uint8Array.from({ length: 200 }, (_, i) => i);
  writer.image(2 ** 40 + 300, "samples", { png, width: 300, height: 32 });
  writer.close();
  expect(readFileSync(writer.path)).toEqual(readFileSync(new URL("golden/tensorboard/events.bin", import.meta.url)));
});

test("an independent reader finds whole records with true checksums, and the scalars of each step", () => {
  const writer = new TensorBoardWriter(join(folder, "deep"), { now });
  for (let step = 0; step < 300; step++) writer.scalars(step, { loss: 1 / (step + 1) });
  writer.close();
  const events = decodeRecords(readFileSync(writer.path)).map(decodeMessage);
  expect(events).toHaveLength(301);
  expect(new TextDecoder().decode(events[0]!.get(3) as Uint8Array)).toBe("brain.Event:2");
  for (const [step, event] of events.slice(1).entries()) {
    expect((event.get(1) as DataView).getFloat64(0, true)).toBe(now().getTime() / 1000);
    expect(event.get(2)).toBe(step);
    const value = decodeMessage(decodeMessage(event.get(5) as Uint8Array).get(1) as Uint8Array);
    expect(new TextDecoder().decode(value.get(1) as Uint8Array)).toBe("loss");
    expect((value.get(2) as DataView).getFloat32(0, true)).toBe(Math.fround(1 / (step + 1)));
  }
});

test("files are named by time, host and process as TensorBoard expects, and never share a name", () => {
  const a = new TensorBoardWriter(folder, { now, host: "node-7" });
  const b = new TensorBoardWriter(folder, { now, host: "node-7" });
  for (const writer of [a, b]) {
    expect(basename(writer.path)).toMatch(
      new RegExp(`^events\\.out\\.tfevents\\.1767312000\\.node-7\\.${process.pid}\\.\\d+$`),
    );
    writer.close();
  }
  expect(a.path).not.toBe(b.path);
});

/** TFRecord: length (u64), its masked checksum, data, its masked checksum. */
function decodeRecords(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const records: Uint8Array[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(view.getUint32(at + 8, true)).toBe(maskedCrc32c(file.subarray(at, at + 8)));
    expect(view.getUint32(at + 12 + length, true)).toBe(maskedCrc32c(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

/** Fields of a protocol buffer message by number; numbers of four and eight bytes as views. */
function decodeMessage(bytes: Uint8Array): Map<number, number | DataView | Uint8Array> {
  const fields = new Map<number, number | DataView | Uint8Array>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag & 7;
    const size = kind === 1 ? 8 : kind === 5 ? 4 : kind === 2 ? varint() : 0;
    const part = bytes.subarray(at, at + size);
    at += size;
    if (kind === 0) fields.set(tag >>> 3, varint());
    else fields.set(tag >>> 3, kind === 2 ? part : new DataView(part.buffer, part.byteOffset, size));
  }
  return fields;
}
