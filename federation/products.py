"""Products that are no tables: files under the space's quota and access, told by their SHA-256."""

import hashlib
import shutil
from contextlib import closing
from pathlib import Path

from db.connect import connect
from db.settings import hven_home
from federation import spaces
from federation.errors import Level3Error
from federation.sessions import as_user, queries
from federation.spaces import refusals


def register_file(database: str, login: str, file: Path, name: str, description: str | None = None) -> Path:
    """Copy a file into the store of users' files, within the quota; return where it lies.

    Raises
    ------
    Level3Error
        There is no such file, the name is taken, or the quota would be passed.
    """
    if not file.is_file():
        raise Level3Error(f"level3: there is no file {file}", "look at its name")
    space, size = spaces.space(database, login), file.stat().st_size
    if space.used + size > space.quota:
        raise Level3Error(
            f"level3: {name} would take {space.used + size} bytes, allowed to {login} are {space.quota}",
            "drop what you no longer need, or ask for a larger quota",
        )
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    kept = hven_home() / "level3" / "files" / login / digest
    values = {"login": login, "name": name, "file": digest, "sha256": digest, "bytes": size, "description": description}
    with closing(connect(database)) as session, session, session.cursor() as cursor:
        cursor.execute(queries("spaces")["product_exists"], {"login": login, "name": name})
        if cursor.fetchone()[0]:
            raise Level3Error(f"level3: there is a product {name} already", "choose another name")
        cursor.execute(queries("spaces")["registered_file"], values)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, part := kept.with_name(digest + ".part"))
        part.rename(kept)
    return kept


def fetch_file(database: str, login: str, owner: str, name: str, target: Path) -> None:
    """Copy a file that a user may read out of the store."""
    with as_user(database, login) as session, session.cursor() as cursor, refusals():
        cursor.execute(queries("spaces")["readable_file"], {"owner": owner, "name": name})
        found = cursor.fetchone()
    if not found:
        raise Level3Error(
            f"level3: {login} may read no file {name} of {owner}", "`hven level3 list` shows what there is"
        )
    shutil.copyfile(hven_home() / "level3" / "files" / owner / found[0], target)
