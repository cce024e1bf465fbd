"""LightGBM behind the booster protocol; models as LightGBM's text."""

from pathlib import Path
from typing import Any, ClassVar, Self

import lightgbm as lgb
import numpy as np

from data.errors import DataError
from data.files import atomic
from tabular.learners.learner import Floats, Rows, Settings, Values, plain_names, refusal, shares

END_OF_MODEL = b"end of parameters"


class LightGBMBooster:
    """A LightGBM model."""

    suffix: ClassVar[str] = ".txt"
    binning: ClassVar[frozenset[str]] = frozenset(
        {
            "max_bin", "min_data_in_bin", "bin_construct_sample_cnt", "enable_bundle", "use_missing", "zero_as_missing",
            "linear_tree",
        }
    )  # fmt: skip

    def __init__(self, model: lgb.Booster) -> None:
        self.model = model
        self.trees = int(model.current_iteration())

    @classmethod
    def bin(cls, rows: Rows, settings: Settings) -> Any:
        """A constructed Dataset, without the arrays it came from."""
        return cls._dataset(rows, settings, None)

    @classmethod
    def bin_watched(cls, rows: Rows, settings: Settings, training: Any) -> Any:
        """A Dataset in the bins of the training data."""
        return cls._dataset(rows, settings, training)

    @classmethod
    def _dataset(cls, rows: Rows, settings: Settings, reference: Any) -> Any:
        dataset = lgb.Dataset(
            rows.values,
            label=rows.target,
            weight=rows.weight,
            reference=reference,
            feature_name=plain_names(rows.names),
            categorical_feature=list(rows.categorical),
            params={k: v for k, v in _parameters(settings).items() if k in cls.binning or k in _FIXED_BINNING},
            free_raw_data=True,
        )
        try:
            return dataset.construct()
        except lgb.basic.LightGBMError as error:
            raise refusal("LightGBM", error) from error

    @classmethod
    def fit(cls, training: Any, settings: Settings, watched: Any = None, patience: int = 0) -> Self:
        """Train; after early stopping only the rounds up to the best are kept."""
        parameters = _parameters(settings)
        callbacks: list[Any] = [lgb.early_stopping(patience, verbose=False)] if watched is not None else []
        try:
            model = lgb.train(
                parameters,
                training,
                num_boost_round=settings.iterations,
                valid_sets=[watched] if watched is not None else None,
                callbacks=callbacks,
            )
        except lgb.basic.LightGBMError as error:
            raise refusal("LightGBM", error) from error
        if watched is not None and 0 < model.best_iteration < model.current_iteration():
            model = lgb.Booster(model_str=model.model_to_string(num_iteration=model.best_iteration))
        return cls(model)

    def predict(self, values: Values, threads: int = 1) -> Floats:
        """Probability of the positive class, or one column per class."""
        return np.asarray(self.model.predict(values, num_threads=threads), dtype=np.float64)

    def importance(self) -> Floats:
        """Share of each column in the total gain."""
        return shares(self.model.feature_importance("gain"))

    def contributions(self, values: Values, threads: int = 1) -> Floats:
        """Tree SHAP by LightGBM, which puts the classes side by side in one row."""
        found = np.asarray(self.model.predict(values, pred_contrib=True, num_threads=threads), dtype=np.float64)
        width = values.shape[1] + 1
        return found if found.shape[1] == width else found.reshape(len(values), -1, width)

    def save(self, path: Path) -> None:
        """Write LightGBM's text, without the number of threads, which does not change the model."""
        text = self.model.model_to_string(num_iteration=-1)
        lines = [line for line in text.splitlines(keepends=True) if not line.startswith("[num_threads:")]
        with atomic(path) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read LightGBM's text.

        Looked over first, because LightGBM ends the whole process on a truncated file.
        """
        try:
            text = path.read_bytes()
        except OSError as error:
            raise DataError(f"LightGBM model {path} cannot be read: {error.strerror}") from error
        if not text.startswith(b"tree\n") or b"\nend of trees\n" not in text or END_OF_MODEL not in text:
            raise DataError(f"{path} is not a whole LightGBM model; train the member again")
        try:
            return cls(lgb.Booster(model_str=text.decode("utf-8")))
        except (lgb.basic.LightGBMError, UnicodeDecodeError, ValueError) as error:
            raise DataError(f"LightGBM model {path} is damaged: {error}; train the member again") from error


_FIXED_BINNING = frozenset({"feature_pre_filter", "data_random_seed", "verbosity", "num_threads", "device_type"})


def _parameters(settings: Settings) -> dict[str, Any]:
    binary = settings.classes == 2
    return {
        **settings.parameters,
        "objective": "binary" if binary else "multiclass",
        "metric": "auc" if binary else "multi_logloss",
        **({} if binary else {"num_class": settings.classes}),
        "seed": settings.seed,
        "num_threads": settings.threads,
        "device_type": "gpu" if settings.device == "gpu" else "cpu",
        "deterministic": True,
        # Deterministic training needs one of two layouts; by column is a quarter faster on 97,000 rows x 300 columns.
        "force_col_wise": True,
        # Without these two, min_data_in_leaf and the seed would change the bins, and tuning could not share them.
        "feature_pre_filter": False,
        "data_random_seed": 1,
        "verbosity": -1,
    }
