import { expect, it } from "vitest";

import { crc32, encodeGrey } from "../src/film/png";

it("has the check sum that every PNG ends with", () => {
  expect(crc32(new TextEncoder().encode("IEND"))).toBe(0xae426082);
});

it("writes an 8-bit grey PNG", async () => {
  const values = Uint8Array.from([0, 255, 7, 9, 0, 255]);
  const blob = await encodeGrey({ values, width: 3, height: 2 });
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const text = (from: number) => String.fromCharCode(...bytes.subarray(from, from + 4));
  expect([text(0).slice(1), text(12), text(37)]).toEqual(["PNG", "IHDR", "IDAT"]);
  expect([view.getUint32(16), view.getUint32(20)]).toEqual([3, 2]);
  expect([...bytes.subarray(24, 29)]).toEqual([8, 0, 0, 0, 0]);
  const rows = await inflate(bytes.slice(41, 41 + view.getUint32(33)));
  expect([...rows]).toEqual([0, 0, 255, 7, 0, 9, 0, 255]);
});

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
