"""Routes: films that archives send by STOW-RS, the store transaction of DICOMweb (PS3.18 10.5)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from pleura.errors import ReadError
from pleura.read.dicom import FOR_DISPLAY
from pleura.service import schemas
from pleura.service.archives import CLASS_NOT_TAKEN, FAILED, NO_FILM
from pleura.service.decoding import DecoderBroke
from pleura.service.films import received
from pleura.service.parts import dicom_file
from pleura.service.problems import Refused
from pleura.service.running import Running
from pleura.service.uploads import Sent

MEDIA_TYPE = "application/dicom+json"
_STORED, _FAILED, _OTHERS = "00081199", "00081198", "0008119A"
_CLASS, _INSTANCE, _REASON, _URL = "00081150", "00081155", "00081197", "00081190"

StudyUid = Annotated[
    str, InPath(pattern=r"^[0-9.]{1,64}$", description="A Study Instance UID; others are refused.")
]

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/related": {
                "schema": {
                    "type": "string",
                    "format": "binary",
                    "description": "Parts of the type application/dicom, as the type of the whole says",
                }
            }
        },
    }
}
_DICOM_JSON: dict[int | str, dict[str, Any]] = {
    status: {"description": said, "content": {MEDIA_TYPE: {"schema": schemas.DICOM_JSON}}}
    for status, said in (
        (200, "All are stored"),
        (202, "Some are stored"),
        (409, "None is stored"),
    )
}


@dataclass
class _Answers:
    """What became of each instance: its SOP class, its UID and, of those not stored, why not (PS3.18 I.2).

    Attributes:
        stored, failed: those that say what they are.
        unknown: of those that do not, why not.
        job, tasks: as of `Uploads.receive`; None where no film was among them.
    """

    stored: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str, int]] = field(default_factory=list)
    unknown: list[int] = field(default_factory=list)
    job: str | None = None
    tasks: dict[str, list[str]] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        """The answer of the transaction."""
        content: dict[str, Any] = {_URL: {"vr": "UR"}}
        if self.stored:
            content[_STORED] = _sequence(_item(*one) | {_URL: {"vr": "UR"}} for one in self.stored)
        if self.failed:
            content[_FAILED] = _sequence(
                _item(kind, uid) | _reason(reason) for kind, uid, reason in self.failed
            )
        if self.unknown:
            content[_OTHERS] = _sequence(map(_reason, self.unknown))
        whole = not self.failed and not self.unknown
        status = 200 if whole else 202 if self.stored else 409
        return JSONResponse(content, status, media_type=MEDIA_TYPE)


def routes(running: Running) -> APIRouter:
    """The routes, of a running service."""
    router = APIRouter(prefix="/dicom-web", tags=["DICOMweb"])

    @router.post("/studies", responses=_DICOM_JSON, openapi_extra=_BODY)
    async def store(request: Request) -> Response:
        """Keep films that an archive sends, have them judged, and what was found sent back (STOW-RS)."""
        return await _store(running, request, None)

    @router.post("/studies/{study}", responses=_DICOM_JSON, openapi_extra=_BODY)
    async def store_study(request: Request, study: StudyUid) -> Response:
        """The same of one study."""
        return await _store(running, request, study)

    return router


async def _store(running: Running, request: Request, study: str | None) -> Response:
    running.check_ready("taken")
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    part = options.get(b"type", b"application/dicom").lower()
    if kind.lower() != b"multipart/related" or part != b"application/dicom":
        raise Refused(415, 'instances come as multipart/related; type="application/dicom"')

    def keep(files: Sequence[Sent]) -> _Answers:
        return _kept(running, files, study)

    with running.one_more_upload():
        answers = await received(running, request, keep, dicom_file)
    if answers.job is not None:
        audit, identity = running.audit, request.state.identity
        await run_in_threadpool(audit.note, identity, "sent", answers.job, durable=True)
        await run_in_threadpool(running.sent, answers.job, answers.tasks)
    return answers.response()


def _kept(running: Running, files: Sequence[Sent], study: str | None) -> _Answers:
    """Keeps the films among instances, and says of each what became of it.

    Raises:
        Refused: there are too many, or there is no room.
    """
    answers = _Answers()
    films: dict[str, tuple[Sent, str]] = {}  # and their SOP classes, by UID
    limits = asdict(running.settings.bounds.film)
    for file in files:
        try:
            request = {"do": "instance", "path": str(file.content), "limits": limits}
            told, _ = running.decoders.ask(request)
        except ReadError as error:
            broke = isinstance(error, DecoderBroke)
            answers.unknown.append(FAILED if broke else NO_FILM)
            continue
        kind, uid = str(told["SOPClassUID"]), str(told["SOPInstanceUID"])
        if told["ours"]:
            answers.stored.append((kind, uid))  # our own result, sent on by the archive: no film
        elif kind not in FOR_DISPLAY:
            answers.failed.append((kind, uid, CLASS_NOT_TAKEN))
        elif study is not None and told["StudyInstanceUID"] != study:
            answers.failed.append((kind, uid, NO_FILM))
        elif uid in films:  # what became of one would be said of the other
            answers.failed.append((kind, uid, FAILED))
        else:
            films[uid] = Sent(f"{uid}.dcm", file.content), kind
    if not films:
        return answers
    strange: set[int] = set()
    try:
        sent = [sent for sent, _ in films.values()]
        answers.job, answers.tasks = running.uploads.receive(sent, strange, unpack=False)
    except Refused as error:
        if error.status != 422:
            raise
        strange = set(range(len(films)))  # none of them is a film
    for number, (uid, (_, kind)) in enumerate(films.items()):
        if number in strange:
            answers.failed.append((kind, uid, NO_FILM))
        else:
            answers.stored.append((kind, uid))
    return answers


def _sequence(items: Any) -> dict[str, Any]:
    return {"vr": "SQ", "Value": list(items)}


def _item(kind: str, uid: str) -> dict[str, Any]:
    return {_CLASS: {"vr": "UI", "Value": [kind]}, _INSTANCE: {"vr": "UI", "Value": [uid]}}


def _reason(code: int) -> dict[str, Any]:
    return {_REASON: {"vr": "US", "Value": [code]}}
