"""Columns of CSV, TSV and parquet files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fl_backdoor.core.errors import DataError

PARQUET = ".parquet"
SEPARATORS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (PARQUET, *SEPARATORS)


@dataclass(frozen=True)
class TableForm:
    """How tables are written.

    Parameters
    ----------
    columns
        Names of the columns of CSV and TSV files, all in their order; None: their first line has them.
    encoding
        Of CSV and TSV files.
    """

    columns: tuple[str, ...] | None = None
    encoding: str = "utf-8"

    def columns_of(self, file: Path) -> list[str]:
        """Return the names of a file's columns."""
        if file.suffix == PARQUET:
            from pyarrow import parquet

            return list(parquet.read_schema(file).names)
        return list(self.columns or self._csv(file, nrows=0).columns)

    def cells(self, file: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
        """Return the cells of some columns, row by row: of CSV and TSV files text, of parquet what they hold.

        Raises
        ------
        DataError
            If the file has another encoding.
        """
        if file.suffix == PARQUET:
            from pyarrow import parquet

            table = parquet.read_table(file, columns=list(columns))
            return {name: table.column(name).to_pylist() for name in columns}
        frame = self._csv(file, usecols=list(columns))
        return {name: frame[name].tolist() for name in columns}

    def _csv(self, file: Path, **asked: Any) -> Any:  # noqa: ANN401 - pandas' own arguments
        import pandas as pd

        names = None if self.columns is None else list(self.columns)
        try:
            return pd.read_csv(
                file,
                sep=SEPARATORS[file.suffix],
                header=0 if names is None else None,
                names=names,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                encoding=self.encoding,
                **asked,
            )
        except UnicodeDecodeError as error:
            raise DataError(f"dataset.encoding: {file} is not {self.encoding} ({error.reason})") from error
