"""`hven doctor`."""

import json
import sys
from dataclasses import asdict

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Report on machine, server and databases; for each fault its remedy."""
    from migrations.doctor import diagnose  # Alembic takes its time

    findings = list(diagnose())
    faults = [finding for finding in findings if finding.remedy]
    if as_json:
        click.echo(json.dumps({"healthy": not faults, "findings": [asdict(finding) for finding in findings]}))
    else:
        for finding in findings:
            click.echo(f"{'FAULT' if finding.remedy else 'ok':6}{finding.what:28}{finding.found}")
            if finding.remedy:
                click.echo(f"{'':6}{'  remedy':28}{finding.remedy}")
    sys.exit(bool(faults))
