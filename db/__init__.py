"""The hub: what is stored, and nothing that computes. Imports nothing else of ours."""

commands: dict[str, str] = {
    "down": "db.cli.server:down",
    "status": "db.cli.server:show_status",
    "logs": "db.cli.server:logs",
    "drop": "db.cli.drop:drop",
    "backup": "db.cli.backup:backup",
    "restore": "db.cli.backup:restore",
    "checksum": "db.cli.checksum:checksum",
    "site": "db.cli.site:site",
    "sql": "db.cli.server:sql",
    "user": "db.cli.user:user",
    "files": "db.cli.files:files",
    "docs": "db.cli.docs:docs",
    "quality": "db.cli.quality:quality",
    "watchdog": "db.cli.watchdog:watchdog",
}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use.

Their modules lie in `db/cli`: a folder named `commands` would take this name's place once imported."""
