"""Provenance: which job made which product from which files, written in the commit of the product."""

from collections.abc import Mapping, Sequence

from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import Json

from db.queries import queries


def record(
    cursor: Cursor,
    job_id: int,
    step: str,
    product: str,
    product_id: int | None,
    files: Mapping[str, Sequence[bytes]],
    inputs: Mapping[str, object] | None = None,
) -> None:
    """Write down how a product was made.

    Parameters
    ----------
    job_id : int
        The job that made it; its production holds software and parameters.
    step : str
        The step of the production that made it.
    product : str
        Table of the product's rows, or `file`.
    product_id : int or None
        Its key; None for all rows of the job.
    files : mapping of str to sequence of bytes
        Role (raw, bias, dark, flat, template …) → checksums of files of that role; files without a row are left out.
    inputs : mapping, optional
        Keys of input rows, by table.
    """
    pairs = [(sha256, role) for role, checksums in files.items() for sha256 in checksums]
    cursor.execute(queries("provenance")["record"], {
        "job_id": job_id, "step": step, "product": product, "product_id": product_id, "inputs": Json(inputs or {}),
        "sha256": [sha256 for sha256, _ in pairs], "roles": [role for _, role in pairs],
    })
