import { beforeAll, expect, it, vi } from "vitest";

import { answering, browser, settled } from "./a_page";

beforeAll(browser);

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

it("names three of the files that are refused, counts the rest, and says what was received", async () => {
  const refused = ["a", "b", "c", "d"].map((name) => ({ name, reason: "is empty" }));
  const job = { films: { total: 2, repeated: 0 }, refused, film_ids: [] };
  class Request {
    upload = {};
    status = 202;
    response = job;
    onload = () => undefined;
    open = () => undefined;
    send = () => setTimeout(() => this.onload());
  }
  vi.stubGlobal("XMLHttpRequest", Request);
  const page = { films: [], next: null, total: 0, revision: 1, counts: null };
  answering({ "/v1/films": page });
  const { upload } = await import("../src/state/uploads");
  const { messages } = await import("../src/state/messages");
  messages.value = [];
  await upload(files(1, 1, 1, 1, 1, 1));
  const said = messages.value.map((one) => one.text);
  expect(said).toEqual([
    "2 films received.",
    ...["a", "b", "c"].map((name) => `${name} is empty`),
    "1 more file was refused.",
  ]);
});

it("sends films again once the reader has signed in, whose session had ended", async () => {
  const job = { films: { total: 1, repeated: 0 }, refused: [], film_ids: ["a"] };
  const answers: [number, object][] = [
    [401, { title: "No", status: 401 }],
    [202, job],
  ];
  const sent: FormData[] = [];
  class Request {
    upload = {};
    status = 0;
    response: object | null = null;
    onload = () => undefined;
    open = () => undefined;
    send(form: FormData): void {
      sent.push(form);
      [this.status, this.response] = answers.shift() as [number, object];
      setTimeout(() => this.onload());
    }
  }
  vi.stubGlobal("XMLHttpRequest", Request);
  answering({});
  const { upload } = await import("../src/state/uploads");
  const { messages, mustSignIn } = await import("../src/state/messages");
  const done = upload(files(10));
  await settled();
  expect(mustSignIn.value).toBe(true);
  expect(sent.length).toBe(1);
  mustSignIn.value = false;
  await done;
  expect(sent.map((form) => form.getAll("files").length)).toEqual([1, 1]);
  expect(messages.value.map((one) => one.text)).toContain("1 film received.");
});
