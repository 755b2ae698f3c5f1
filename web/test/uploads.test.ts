import { beforeAll, expect, it, vi } from "vitest";

// The modules reach for the browser's storage when they are loaded.
beforeAll(() => vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => {} }));

function files(...sizes: number[]): File[] {
  return sizes.map((size, i) => new File([new Uint8Array(size)], `${i}`));
}

it("fills uploads up to the service's limits, in order", async () => {
  const { parts } = await import("../src/state/uploads");
  const names = (found: File[][]) => found.map((part) => part.map((file) => file.name).join(""));
  const few = files(10, 10, 10, 10, 10);
  expect(names(parts(few, Infinity, Infinity))).toEqual(["01234"]);
  expect(names(parts(few, Infinity, 2))).toEqual(["01", "23", "4"]);
  // each file counts 1024 bytes more, for what the form says of it
  expect(names(parts(files(1000, 1000, 4000, 1000), 2 * 2024, 9))).toEqual(["01", "2", "3"]);
  expect(parts([], 1, 1)).toEqual([]);
});
