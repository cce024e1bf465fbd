import subprocess
import sys

ABSENT = (
    *("polars", "pandas", "pyarrow", "pydantic", "sklearn", "scipy", "lightgbm", "xgboost", "catboost", "optuna"),
    *("rich", "typer", "h5py", "cv2", "tensorboard", "tabular", "features", "pipeline"),
)


def test_training_needs_torch_timm_numpy_and_safetensors_alone():
    # A name that is None in sys.modules cannot be imported.
    absent = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r}))"
    code = f"{absent}; import image_models.training.train, image_models.predict"
    subprocess.run([sys.executable, "-c", code], check=True)
