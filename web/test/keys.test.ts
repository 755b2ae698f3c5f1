import { beforeAll, expect, it, vi } from "vitest";

// The module reaches for the browser's storage when it is loaded.
beforeAll(() => vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => {} }));

it("names keys whatever their case, and takes Command for Ctrl", async () => {
  const { nameOf } = await import("../src/keys");
  const plain = { ctrlKey: false, metaKey: false, shiftKey: false };
  expect(nameOf({ ...plain, key: "J", shiftKey: true })).toBe("j");
  expect(nameOf({ ...plain, key: "?", shiftKey: true })).toBe("?");
  expect(nameOf({ ...plain, key: "z", ctrlKey: true })).toBe("Ctrl+z");
  expect(nameOf({ ...plain, key: "Z", metaKey: true, shiftKey: true })).toBe("Ctrl+Shift+z");
});

it("has no key twice", async () => {
  const { GROUPS } = await import("../src/keys");
  const names = GROUPS.flatMap((group) => group.keys.flatMap((key) => key.keys));
  expect(new Set(names).size).toBe(names.length);
});
