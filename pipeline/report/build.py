"""`fusionnetx report`: complete metrics.json and write report.html, one self-contained file."""

from data.files import write_json, write_text
from data.scores.scores import SCORES
from pipeline.report.figures import report_figures
from pipeline.report.finished import open_finished
from pipeline.report.gallery import pictures
from pipeline.report.metrics import stage_figures
from pipeline.report.page import page
from pipeline.workspace import Workspace


def run_report(space: Workspace) -> None:
    """Compute the figures of a finished run, keep them in metrics.json and show them in report.html."""
    run = open_finished(space)
    metrics = {**stage_figures(space), "report": report_figures(run)}
    shown = metrics["report"]["gallery"]
    titles = {name: score.title for name, score in SCORES.items()}
    text = page(metrics, pictures(run, shown) if shown else {}, titles)
    write_json(space.run_dir / "metrics.json", metrics)
    path = space.run_dir / "report.html"
    write_text(path, text)
    space.display.say(f"wrote {path} ({len(text.encode()) / 1e6:.1f} MB) and the same figures to metrics.json")
