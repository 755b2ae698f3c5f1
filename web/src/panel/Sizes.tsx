import type { Extent, Film } from "../api/types";
import { percent } from "../film/measure";

/** The measures of the guidelines, in the order they are told, with what calls each small or large. */
const MEASURES: [keyof Extent & string, string, (value: number) => string, keyof Extent | null][] =
  [
    ["area_fraction_of_lung", "Share of the lung's field", (v) => percent(v), null],
    ["apex_to_cupola_mm", "Apex to cupola", mm, "accp_2001"],
    ["rim_at_hilum_mm", "Rim at the hilum", mm, "bts_2010"],
    ["rim_lateral_mm", "Lateral rim", mm, "bts_2023"],
    ["collins_percent", "Collins, of the hemithorax", (v) => `${v.toFixed(0)} %`, null],
  ];

const GUIDELINES: Record<string, string> = {
  accp_2001: "ACCP 2001",
  bts_2010: "BTS 2010",
  bts_2023: "BTS 2023",
};

/** How large it is on each side, in the guidelines' terms; what cannot be known says why. */
export function Sizes({ film }: { film: Film }) {
  const extents = film.finding?.extents ?? [];
  if (extents.length === 0) return null;
  return (
    <section class="sizes">
      <h3>Size</h3>
      {extents.map((extent) => (
        <Size key={extent.side} extent={extent} />
      ))}
    </section>
  );
}

function Size({ extent }: { extent: Extent }) {
  const known = MEASURES.filter(([name]) => typeof extent[name] === "number");
  const reasons = [...new Set(Object.values(extent.reasons))];
  const atDetector = extent.spacing_basis === "detector" && extent.lines.length > 0;
  const said = [
    atDetector && "Lengths at the detector, some per cent too long.",
    reasons.length > 0 && `Not measured: ${reasons.join(" ")}`,
  ].filter(Boolean);
  return (
    <>
      <h4>{extent.side} side</h4>
      <dl>
        {known.map(([name, label, shown, guideline]) => (
          <div key={name}>
            <dt>{label}</dt>
            <dd>
              {guideline && typeof extent[guideline] === "string" && (
                <small>
                  {GUIDELINES[guideline]}: {extent[guideline] as string}
                </small>
              )}
              {shown(extent[name] as number)}
            </dd>
          </div>
        ))}
      </dl>
      {said.length > 0 && <p class="meaning">{said.join(" ")}</p>}
    </>
  );
}

function mm(value: number): string {
  return `${value.toFixed(1)} mm`;
}
