/** The service's answers, as docs/reference/api.md describes them. */

export type State = "waiting" | "positive" | "negative" | "declined" | "failed";
export type Side = "right" | "left";
export type Verdict = "accepted" | "rejected" | "corrected";
export type Picture = "thumbnail" | "mask" | "heat" | "lungs" | "overlay";

export interface Summary {
  id: string;
  revision: number;
  name: string;
  received: string;
  study: string | null;
  job: string | null;
  state: State;
  reason: string | null;
  probability: number | null;
  calibrated: boolean | null;
  /** Whether there is something to draw, were it suspected; null where no map was made. */
  has_regions: boolean | null;
  side: Side | "bilateral" | null;
  area_fraction: number | null;
  area_mm2: number | null;
  view: "PA" | "AP" | "lateral" | "other" | null;
  age_years: number | null;
  sex: string | null;
  patient_id: string | null;
  modality: string | null;
  study_date: string | null;
  rows: number | null;
  columns: number | null;
  read: boolean;
  verdict: Verdict | null;
  /** Of the model that judged it; null where none has. */
  model_sha256: string | null;
}

export interface Lesion {
  side: Side;
  area_px: number;
  area_fraction: number;
  area_mm2: number | null;
  /** Top, left, bottom, right in pixels of the film; bottom and right are exclusive. */
  box: [number, number, number, number];
  peak_probability: number;
}

type Size = "small" | "large";

/** How large it is on one side; a measure that is null has its reason. */
export interface Extent {
  side: Side;
  area_fraction_of_lung: number | null;
  apex_to_cupola_mm: number | null;
  rim_at_hilum_mm: number | null;
  rim_lateral_mm: number | null;
  collins_percent: number | null;
  accp_2001: Size | null;
  bts_2010: Size | null;
  bts_2023: Size | null;
  spacing_basis: Film["spacing_basis"];
  reasons: Record<string, string>;
  /** Row and column of each end, in pixels of the film from its corner. */
  lines: { name: string; start: [number, number]; end: [number, number]; mm: number }[];
}

export interface Finding {
  target: string;
  decision: "positive" | "negative" | "declined";
  reason: string;
  probability: number | null;
  calibrated: boolean;
  pixel_threshold?: number | null;
  area_fraction: number | null;
  area_mm2: number | null;
  side: Side | "bilateral" | null;
  side_basis: "orientation" | "convention" | null;
  /** Of the film's own matrix, where it was judged turned: to where rows and columns run. */
  patient_orientation?: [string, string] | null;
  lesions: Lesion[];
  instances: { box: [number, number, number, number]; score: number }[];
  extents: Extent[];
  model: string;
  model_version: string;
  model_sha256: string;
  notes: string[];
}

export interface OperatingPoint {
  presence_threshold: number;
  presence_probability: number;
  pixel_threshold: number;
  relative: boolean;
  min_area_fraction: number;
  keep_largest: boolean;
  top_threshold: number | null;
  min_top_area_fraction: number;
  aim: string;
  fitted_on: string;
}

export interface GreyWindow {
  name: string;
  center: number;
  width: number;
}

export interface Viewing {
  rows: number;
  columns: number;
  format: "u8" | "u16le";
  maximum: number;
  stage: "stored" | "displayed";
  bytes: number;
  windows: GreyWindow[];
}

export interface Correction {
  number: number;
  film: string;
  verdict: Verdict;
  comment: string;
  reader: string;
  identity: string | null;
  seconds: number | null;
  time: string;
  has_mask: boolean;
  area_fraction: number | null;
  label: 0 | 1 | null;
  model_sha256: string;
}

/** A place where the film's DICOM results go. */
export interface Delivery {
  destination: string;
  state: "waiting" | "sent" | "dropped";
  tries: number;
  said: string;
}

export interface Film extends Summary {
  format: string | null;
  spacing_mm: [number, number] | null;
  spacing_basis: "calibrated" | "detector" | "implausible" | "unknown";
  spacing_source: string | null;
  image_left: Side;
  side_basis: "orientation" | "convention";
  notes: string[];
  viewing: Viewing | null;
  finding: Finding | null;
  operating_point: OperatingPoint | null;
  pictures: Picture[];
  correction: Correction | null;
  deliveries: Delivery[];
}

export type Counts = Record<State | "unread", number>;

export interface FilmPage {
  films: Summary[];
  next: string | null;
  total: number;
  counts: Counts;
  revision: number;
}

/** What another presence threshold would change. */
export interface AtThreshold {
  presence: number;
  judged: number;
  positive: number;
  would: number;
  gained: number;
  lost: number;
  unknown: number;
}

export interface Job {
  id: string;
  state: "running" | "done";
  films: { total: number; waiting: number; judged: number; failed: number; repeated: number };
  film_ids: string[];
  refused: { name: string; reason: string }[];
}

export interface Service {
  version: string;
  notice: string;
  identity: string | null;
  needs_token: boolean;
  deidentify: boolean;
  dicom_results: boolean;
  retention_days: number | null;
  limits: {
    upload_bytes: number;
    film_bytes: number;
    film_pixels: number;
    files_per_upload: number;
  };
}

export interface ModelCard {
  name: string;
  version: string;
  sha256: string;
  target: { name: string; code: string; scheme: string };
  intended_use: string;
  licence: string;
  created: string;
  operating_point: OperatingPoint;
  calibration: {
    kind: string;
    fitted_on: string;
    films: number;
    positives: number;
    prevalence: number | null;
  } | null;
  metrics: Record<string, unknown> | null;
  data: unknown;
  runtime: string;
}

/** A problem as RFC 9457 has it. */
export interface Problem {
  title: string;
  status: number;
  detail?: string;
  refused?: Job["refused"];
}
