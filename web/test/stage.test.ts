import { cache, imageLoader } from "@cornerstonejs/core";
import { expect, it, vi } from "vitest";

import type { Look, Picture } from "../src/film/stage";
import { VIEWING } from "./a_page";

vi.stubGlobal("devicePixelRatio", 1);
vi.stubGlobal(
  "ResizeObserver",
  class {
    observe(): void {}
    disconnect(): void {}
  },
);

// Cornerstone's own loader and cache, and of its drawing, which needs a browser, nothing.
vi.mock("@cornerstonejs/core", async (original) => {
  const core = await original<typeof import("@cornerstonejs/core")>();
  let current = "";
  const viewport = {
    setStack: async ([imageId = ""]: string[]) => {
      current = imageId;
      await core.imageLoader.loadAndCacheImage(imageId);
    },
    getCurrentImageId: () => current,
    getCanvas: () => ({ getContext: () => null }),
    setProperties: () => {},
    setViewPresentation: () => {},
    setCamera: () => {},
    resetCamera: () => {},
    render: () => {},
  };
  class RenderingEngine {
    enableElement(): void {}
    destroy(): void {}
    getViewport = () => viewport;
  }
  return { ...core, RenderingEngine, init: () => true };
});

const LOOK: Look = {
  window: { name: "", center: 128, width: 256 },
  inverted: false,
  rotation: 0,
  flipped: false,
};

function picture(id: string, value: number): Picture {
  return { id, viewing: VIEWING, values: new Uint8Array(VIEWING.bytes).fill(value), aspect: 1 };
}

it("keeps no film but the one it shows, and shows an earlier one again", async () => {
  const { Stage } = await import("../src/film/stage");
  const element = { addEventListener: () => {}, clientWidth: 20, clientHeight: 20 };
  const stage = new Stage(element as unknown as HTMLDivElement, () => {});
  const films = [picture("a", 1), picture("b", 2), picture("c", 3), picture("a", 1)];
  for (const film of films) {
    await stage.show(film, LOOK);
    expect(stage.shows).toBe(true);
    expect(cache.getCacheSize()).toBe(VIEWING.bytes);
    const image = await imageLoader.loadImage(`pleura:${film.id}`);
    expect(image.getPixelData()[0]).toBe(film.values[0]);
  }
  await Promise.all(films.map((film) => stage.show(film, LOOK))); // quicker than they load
  expect(stage.shows).toBe(true);
  expect(cache.getCacheSize()).toBeLessThanOrEqual(VIEWING.bytes);
  stage.destroy();
});
