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

it("leaves the field at Escape, and drops nothing", async () => {
  const { onKey } = await import("../src/keys");
  const { tried } = await import("../src/state/view");
  class Field {
    matches = () => true;
    blur = vi.fn();
  }
  const field = new Field();
  vi.stubGlobal("HTMLElement", Field);
  vi.stubGlobal("document", { querySelector: () => null, activeElement: field });
  const press = () =>
    onKey({ key: "Escape", target: field, preventDefault: () => {} } as unknown as KeyboardEvent);
  tried.value = 0.4;
  press();
  expect(field.blur).toHaveBeenCalledOnce();
  expect(tried.value).toBe(0.4);
  vi.stubGlobal("document", { querySelector: () => null, activeElement: null });
  press();
  expect(tried.value).toBeNull();
});
