"""What the routes give and take, for OpenAPI; docs/reference/api.md says what it means."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["waiting", "positive", "negative", "declined", "failed"]
View = Literal["PA", "AP", "lateral", "other"]
Side = Literal["right", "left", "bilateral"]
Verdict = Literal["accepted", "rejected", "corrected"]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


DICOM_JSON: dict[str, Any] = {
    "type": "object",
    "description": "Elements by tag (PS3.18 F)",
    "additionalProperties": {
        "type": "object",
        "required": ["vr"],
        "properties": {"vr": {"type": "string"}, "Value": {"type": "array"}},
    },
}


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Problem(BaseModel):
    """An error (RFC 9457); what is wrong with a request's fields, or why files of an upload are no films."""

    type: str
    title: str
    status: int
    detail: str
    request: str
    errors: list[dict[str, str]] | None = None
    refused: list[dict[str, str]] | None = None


class Summary(_Given):
    """A film as lists show it."""

    id: str
    revision: int
    name: str
    received: str
    study: str
    job: str
    state: State
    reason: str | None
    probability: Fraction | None
    calibrated: bool | None
    has_regions: bool | None
    side: Side | None
    area_fraction: float | None
    area_mm2: float | None
    view: View | None
    age_years: float | None
    sex: str | None
    patient_id: str | None
    modality: str | None
    study_date: str | None
    rows: int | None
    columns: int | None
    read: bool
    verdict: Verdict | None
    model_sha256: str | None


class Counts(_Given):
    """Films by state, and unread ones."""

    waiting: int
    positive: int
    negative: int
    declined: int
    failed: int
    unread: int


class Films(_Given):
    """A page of the worklist."""

    films: list[Summary]
    next: str | None
    total: int
    counts: Counts
    revision: int


class AtThreshold(_Given):
    """What another presence threshold would change."""

    presence: Fraction
    judged: int
    positive: int
    would: int
    gained: int
    lost: int
    unknown: int


class Window(_Given):
    """A window, in units of the pixels that are sent."""

    name: str
    center: float
    width: float


class Viewing(_Given):
    """What the pixels are that `pixels` sends."""

    rows: int
    columns: int
    format: Literal["u8", "u16le"]
    maximum: int
    stage: Literal["stored", "displayed"]
    bytes: int
    windows: list[Window]


class _Open(BaseModel):
    """Of a finding: a later version of pleura may say more."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class Lesion(_Open):
    """A region of the mask."""

    side: Literal["right", "left"]
    area_px: int
    area_fraction: float
    area_mm2: float | None
    box: tuple[int, int, int, int]
    peak_probability: Fraction


class Instance(_Open):
    """A place that a network found by itself."""

    box: tuple[int, int, int, int]
    score: float


class Extent(_Open):
    """How large the finding of a side is, in the guidelines' terms."""

    side: Literal["right", "left"]
    area_fraction_of_lung: float | None
    apex_to_cupola_mm: float | None
    rim_at_hilum_mm: float | None
    rim_lateral_mm: float | None
    collins_percent: float | None
    accp_2001: str | None
    bts_2010: str | None
    bts_2023: str | None
    spacing_basis: str
    reasons: dict[str, str]
    lines: list[dict[str, Any]]


class Finding(_Open):
    """The model's answer."""

    target: str
    decision: Literal["positive", "negative", "declined"]
    reason: str
    probability: Fraction | None
    calibrated: bool
    pixel_threshold: Fraction | None = None
    area_fraction: float | None
    area_mm2: float | None
    side: Side | None
    side_basis: Literal["orientation", "convention"] | None
    patient_orientation: tuple[str, str] | None = None
    lesions: list[Lesion]
    instances: list[Instance]
    extents: list[Extent] = []
    model: str
    model_version: str
    model_sha256: str
    notes: list[str]


class OperatingPoint(_Given):
    """How the model decides."""

    presence_threshold: Fraction
    presence_probability: Fraction
    pixel_threshold: Fraction
    relative: bool = False
    min_area_fraction: Fraction
    keep_largest: bool = False
    top_threshold: Fraction | None
    min_top_area_fraction: Fraction
    aim: str
    fitted_on: str


class Correction(_Given):
    """What a reader said."""

    number: int
    film: str
    verdict: Verdict
    comment: str
    reader: str
    identity: str
    seconds: float | None
    time: str
    has_mask: bool
    area_fraction: float | None
    label: Literal[0, 1] | None
    model_sha256: str | None


class Corrections(_Given):
    """A film's corrections, oldest first."""

    corrections: list[Correction]


class Delivery(_Given):
    """Where a film's results are sent, and how far that is."""

    destination: str
    state: Literal["waiting", "sent", "dropped"]
    tries: int
    said: str


class Film(Summary):
    """All there is of a film but pixels and pictures."""

    sha256: str
    bytes: int
    format: str | None
    spacing_mm: tuple[float, float] | None
    spacing_basis: Literal["calibrated", "detector", "implausible", "unknown"] | None
    spacing_source: str | None
    source_bits: int | None
    image_left: Literal["right", "left"] | None
    side_basis: Literal["orientation", "convention"] | None
    body_part: str | None
    sop_instance_uid: str | None
    study_instance_uid: str | None
    series_instance_uid: str | None
    notes: list[str]
    viewing: Viewing | None
    finding: Finding | None
    operating_point: OperatingPoint | None
    pictures: list[Literal["thumbnail", "mask", "heat", "lungs", "overlay"]]
    correction: Correction | None
    deliveries: list[Delivery]


class JobFilms(_Given):
    """Films of an upload by what became of them."""

    total: int
    waiting: int
    judged: int
    failed: int
    repeated: int


class RefusedFile(_Given):
    """A file that is no film."""

    name: str
    reason: str


class Job(_Given):
    """What became of an upload."""

    id: str
    received: str
    state: Literal["running", "done"]
    films: JobFilms
    film_ids: list[str]
    refused: list[RefusedFile]


class Study(_Given):
    """Films that belong together."""

    id: str
    study_instance_uid: str | None
    study_date: str | None
    patient_id: str | None
    received: str
    films: int
    state: State
    probability: Fraction | None
    film_ids: list[str]


class Studies(_Given):
    """A page of studies."""

    studies: list[Study]
    next: str | None
    total: int


class StudyFilms(_Given):
    """A study's films."""

    id: str
    films: list[Summary]


class Target(_Given):
    """What is looked for."""

    name: str
    code: str
    scheme: str


class Calibration(_Given):
    """What makes scores chances."""

    kind: str
    fitted_on: str
    films: int
    positives: int
    prevalence: float | None


class Model(_Given):
    """The model card."""

    name: str
    version: str
    sha256: str
    target: Target
    intended_use: str
    licence: str
    created: str
    combination: str
    networks: list[str]
    operating_point: OperatingPoint
    calibration: Calibration | None
    metrics: dict[str, Any]
    data: dict[str, Any]
    runtime: str


class ServiceLimits(_Given):
    """What may be sent."""

    upload_bytes: int
    film_bytes: int
    film_pixels: int
    files_per_upload: int


class Service(_Given):
    """The service."""

    version: str
    notice: str
    identity: str
    needs_token: bool
    deidentify: bool
    dicom_results: bool
    retention_days: float | None
    limits: ServiceLimits


class SignIn(_Given):
    """The token."""

    token: Annotated[str, Field(max_length=1000)]


class Health(_Given):
    """Whether the service is well."""

    status: str
