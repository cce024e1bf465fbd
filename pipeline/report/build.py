"""`fusionnetx report`: complete metrics.json and write report.html, one self-contained file."""

from data.files import write_json, write_text
from pipeline.inputs import Inputs
from pipeline.report.figures import report_figures
from pipeline.report.finished import open_finished
from pipeline.report.gallery import pictures
from pipeline.report.metrics import FILE, stage_figures
from pipeline.report.page import page
from pipeline.runtime import Runtime

PAGE = "report.html"


def run_report(inputs: Inputs, runtime: Runtime) -> None:
    """Compute the figures of a finished run, keep them in metrics.json and show them in report.html."""
    finished = open_finished(inputs, runtime)
    metrics = {**stage_figures(inputs), "report": report_figures(finished)}
    text = page(metrics, pictures(inputs.data.train_images, metrics["report"]["gallery"]))
    path = inputs.run.folder / PAGE
    write_text(path, text)
    write_json(inputs.run.folder / FILE, metrics)
    runtime.display.say(f"wrote {path} ({len(text.encode()) / 1e6:.1f} MB) and the same figures to {FILE}")
