import { afterEach, describe, expect, it, vi } from "vitest";

vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });

import type { Finding, ModelCard } from "../src/api/types";
import { meaning } from "../src/panel/Probability";
import { card } from "../src/state/service";

const finding = { calibrated: true, model_sha256: "ab" } as Finding;
const calibrated = (prevalence: number | null) =>
  ({
    sha256: "ab",
    calibration: { kind: "platt", fitted_on: "tune", films: 400, positives: 100, prevalence },
  }) as ModelCard;

describe("meaning", () => {
  afterEach(() => {
    card.value = null;
  });

  it("tells the share of the films it was calibrated on", () => {
    card.value = calibrated(null);
    expect(meaning(finding, 0.7)).toContain("about 70 had one");
    expect(meaning(finding, 0.7)).toContain("where 25 % of all films had one");
  });

  it("tells the prevalence that it was moved to", () => {
    card.value = calibrated(0.05);
    expect(meaning(finding, 0.7)).toContain("where 5 % of all films had one");
  });
});
