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

it("does once what saves or toggles, however long the key is held", async () => {
  const { GROUPS, onKey } = await import("../src/keys");
  vi.stubGlobal("document", { querySelector: () => null, activeElement: null });
  const once: string[] = [];
  for (const key of GROUPS.flatMap((group) => group.keys)) {
    const run = vi.spyOn(key, "run").mockImplementation(() => {});
    const [name = ""] = key.keys;
    const preventDefault = vi.fn();
    const event = { key: name.replace("Ctrl+", ""), ctrlKey: name.startsWith("Ctrl+") };
    for (const repeat of [false, true, true]) {
      onKey({ ...event, repeat, target: null, preventDefault } as unknown as KeyboardEvent);
    }
    expect(preventDefault).toHaveBeenCalledTimes(3);
    if (run.mock.calls.length === 1) once.push(name);
    else expect(run).toHaveBeenCalledTimes(3);
    run.mockRestore();
  }
  const repeated = ["j", "k", "+", "-", ",", ".", "[", "]", "Ctrl+z", "Ctrl+y"];
  const all = GROUPS.flatMap((group) => group.keys.map((key) => key.keys[0]));
  expect(once).toEqual(all.filter((name) => !repeated.includes(name ?? "")));
});

it("writes a question mark into a dialog's field, and closes the list of keys elsewhere", async () => {
  const { help, onKey } = await import("../src/keys");
  class Field {
    constructor(readonly matches: () => boolean) {}
  }
  vi.stubGlobal("HTMLElement", Field);
  vi.stubGlobal("document", { querySelector: () => ({}), activeElement: null });
  const toggle = vi.spyOn(help, "toggle");
  const press = (isField: boolean) => {
    const preventDefault = vi.fn();
    const target = new Field(() => isField);
    onKey({ key: "?", target, preventDefault } as unknown as KeyboardEvent);
    return preventDefault.mock.calls.length > 0;
  };
  expect(press(true)).toBe(false);
  expect(toggle).not.toHaveBeenCalled();
  expect(press(false)).toBe(true);
  expect(toggle).toHaveBeenCalledOnce();
});
