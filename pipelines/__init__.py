"""What runs outside the database: pixels in, staging rows out."""

commands: dict[str, str] = {
    "alerts": "pipelines.cli.alerts:alerts",
    "demo": "pipelines.cli.demo:demo",
    "efd": "pipelines.cli.efd:efd",
    "efficiency": "pipelines.cli.efficiency:efficiency",
    "get": "pipelines.cli.get:get",
    "jobs": "pipelines.cli.jobs:jobs",
    "refcat": "pipelines.cli.refcat:refcat",
    "night": "pipelines.cli.night:night",
    "release": "pipelines.cli.release:release",
    "report": "pipelines.cli.report:report",
    "transit": "pipelines.cli.report:transit",
    "serve": "pipelines.cli.serve:serve",
    "show": "pipelines.cli.report:show",
    "simulate": "pipelines.cli.simulate:simulate",
    "worker": "pipelines.cli.worker:worker",
}
"""Verb of `./hven` → where its click command is defined (`module:attribute`), loaded on use."""
