"""A page in Streamlit, on the public API: drop films, see what is found.

    pip install streamlit . ./weights                         # in a checkout
    streamlit run examples/streamlit_app.py                   # or: ... -- --bundle BUNDLE

`pleura serve` keeps films, survives crashes and lets readers correct; this is where to start an app of your
own. Research software, not a medical device.
"""

import argparse

import streamlit as st

import pleura
from pleura.outputs.overlay import overlay

NOTICE = (
    "Research software. Not a medical device: never use it to diagnose, treat or triage a patient."
)


@st.cache_resource
def detector(bundle: str | None) -> pleura.Detector:
    """The model, loaded once for all sessions."""
    return pleura.Detector.load(bundle)


@st.cache_resource(max_entries=8)
def judged(
    name: str, data: bytes, _model: pleura.Detector
) -> tuple[pleura.Radiograph, pleura.Finding]:
    """A film and its finding, kept while the page is used: Streamlit runs all of this at every click."""
    film = pleura.read(data, name=name)
    return film, _model(film)


def show(name: str, data: bytes, model: pleura.Detector, heat: bool) -> None:
    """One film: its picture with the finding, and what is known of it."""
    try:
        film, finding = judged(name, data, model)
    except pleura.PleuraError as error:
        st.error(str(error))
        return
    picture, facts = st.columns([2, 1])
    picture.image(overlay(film, finding, size=1024, heat=heat, caption=False))
    facts.subheader(f"{finding.target.name}: {finding.decision}")
    if finding.probability is not None:
        word = "Probability" if finding.calibrated else "Score (no chance of disease)"
        facts.metric(word, f"{finding.probability:.3f}")
    facts.write(finding.reason)
    for lesion in finding.lesions:
        area = f"{100 * lesion.area_fraction:.1f} % of the film"
        if lesion.area_mm2 is not None:
            area += f", {lesion.area_mm2 / 100:.1f} cm² ({film.spacing_basis})"
        facts.write(f"{lesion.side}, by {lesion.side_basis}: {area}")
    with facts.expander("Notes"):
        st.write("\n\n".join(finding.notes) or "None.")


def main() -> None:
    """The page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle")
    st.set_page_config("pleura", layout="wide")
    st.title("pleura")
    st.warning(NOTICE)
    model = detector(parser.parse_args().bundle)
    heat = st.sidebar.checkbox("Probability map")
    st.sidebar.caption(f"{model.manifest.name} {model.manifest.version}, {model.description}")
    kinds = ["dcm", "png", "jpg", "jpeg", "webp", "tif", "tiff"]
    for file in st.file_uploader("Films", kinds, accept_multiple_files=True) or []:
        st.divider()
        st.caption(file.name)
        show(file.name, file.getvalue(), model, heat)


main()
