"""Whether memory that PyTorch holds on the card grows from epoch to epoch."""

import torch

from benchmarks.gpu_check.setting import Found, Line, Setting, made_up

EPOCHS = 36
ALLOWED_MIB = 64.0


def measure(setting: Setting, _: dict[str, Found]) -> Found:
    """Memory reserved at the end of every epoch; the first two, in which cuDNN tries its algorithms, do not count."""
    seen: dict[int, float] = {}

    def listen(done: int, total: int, **figures: float) -> None:
        seen[int(figures["epoch"])] = torch.cuda.memory_reserved(setting.device) / 2**20

    torch.cuda.empty_cache()
    setting.fit(setting.toy(epochs=EPOCHS, batch_size=32), made_up(320, 224), progress=listen)
    grown = max(seen.values()) - seen[2]
    said = f"{seen[2]:.0f} to {seen[EPOCHS]:.0f} MiB"
    lines = [Line(f"reserved memory over {EPOCHS} epochs", said, f"+{ALLOWED_MIB:g} MiB", grown <= ALLOWED_MIB)]
    return Found({"mib_by_epoch": list(seen.values()), "grown_mib": grown}, lines)
