import { afterEach, beforeEach, expect, it, vi } from "vitest";

import { answering, browser, Channel, film, turn, VIEWING } from "./a_page";

const PAGE = { films: [], next: null, total: 0, counts: null, revision: 5 };
const ANSWERS: Record<string, unknown> = {
  "/v1/films": PAGE,
  "/v1/films/a": film("a", { revision: 5 }),
  "/v1/films/a/pixels": new Blob([new Uint8Array(VIEWING.bytes)]),
  "/v1/films/a/corrections": { corrections: [] },
};
let asked: string[] = [];

// A page, modules and a clock of its own for each test: none has listened yet, and nothing comes from the one before.
beforeEach(async () => {
  vi.useFakeTimers();
  browser();
  vi.resetModules();
  const { listenOnlyWhileShown } = await import("../src/state/channel");
  listenOnlyWhileShown();
  Channel.opened = 0;
  asked = answering(ANSWERS);
});

afterEach(() => {
  vi.useRealTimers();
});

async function modules() {
  const { live } = await import("../src/state/channel");
  const { refresh } = await import("../src/state/worklist");
  const current = await import("../src/state/film");
  return { live, refresh, current };
}

it("is closed while the page is hidden, and goes on from what was told last", async () => {
  const { live, refresh } = await modules();
  await refresh();
  const first = Channel.latest;
  first.onopen?.();
  expect(first.address).toBe("/v1/events?since=5");
  expect(live.value).toBe(true);
  first.tell("film", film("z", { revision: 7 }));
  first.tell("deleted", { id: "z" }, 8);

  turn("hidden");
  expect(first.readyState).toBe(Channel.CLOSED);
  expect(live.value).toBe(false);
  answering({ ...ANSWERS, "/v1/films": { ...PAGE, revision: 12 } });
  await refresh(); // as after an upload; of the open film's changes the list does not tell
  expect(Channel.opened).toBe(1);

  turn("visible");
  expect(Channel.opened).toBe(2);
  expect(Channel.latest.address).toBe("/v1/events?since=8");
  turn("visible");
  expect(Channel.opened).toBe(2);
});

it("opens for a page that was loaded behind another only once it is shown", async () => {
  const { refresh } = await modules();
  turn("hidden");
  await refresh();
  expect(Channel.opened).toBe(0);
  turn("visible");
  expect(Channel.latest.address).toBe("/v1/events?since=5");
});

it("does not open before there is a list", async () => {
  await modules();
  turn("hidden");
  turn("visible");
  expect(Channel.opened).toBe(0);
});

it("fetches the open film again where too much happened meanwhile", async () => {
  const { refresh, current } = await modules();
  await refresh();
  await current.open("a");
  turn("hidden");
  turn("visible");
  asked.length = 0;
  const later = film("a", { revision: 20_000, state: "negative" });
  asked = answering({ ...ANSWERS, "/v1/films/a": later });
  Channel.latest.tell("reset", {}, 20_005);
  await vi.advanceTimersByTimeAsync(20);
  expect(asked).toContain("/v1/films/a");
  expect(current.film.value?.state).toBe("negative");
  turn("hidden");
  turn("visible");
  expect(Channel.latest.address).toBe("/v1/events?since=20005");
});

it("asks for the list later where it is refused", async () => {
  const { refresh } = await modules();
  await refresh();
  asked.length = 0;
  Channel.latest.refuse();
  await vi.advanceTimersByTimeAsync(4900);
  expect(asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(200);
  expect(asked.map((path) => path.split("?")[0])).toEqual(["/v1/films"]);
  expect(Channel.opened).toBe(2);
});
