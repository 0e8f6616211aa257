"""The commands that only inform: variants, and doctor for this machine."""

import typer

from nsfwscan.cli import options as o
from nsfwscan.cli.doctor import Format, ReportFormat, show
from nsfwscan.cli.streams import silent_libraries
from nsfwtrain.cli.messages import errors


def variants() -> None:
    """List the variants that can be trained, with the results of a published study."""
    from rich.console import Console
    from rich.table import Table

    from nsfwtrain.variants import VARIANTS

    table = Table("variant", box=None)
    for heading in ("image px", "batch", "features", "parameters", "loss", "accuracy", "time"):
        table.add_column(heading, justify="right")
    for row in VARIANTS:
        table.add_row(
            row.name,
            str(row.image_size),
            str(row.batch_size),
            str(row.feature_dim),
            f"{row.parameters:,}",
            f"{row.published_loss:.4f}",
            f"{row.published_accuracy:.4f}",
            f"{row.published_time.total_seconds() / 60:.1f} min",
        )
    Console(highlight=False).print(table)


def doctor(device: o.Device = "auto", format_: ReportFormat = Format.TEXT) -> None:
    """Check what TensorFlow can use on this machine; exit 1 if a check fails."""
    with errors(), silent_libraries():
        from nsfwscan.inference.session import check_device
        from nsfwtrain.doctor import examine

        check_device(device)
        good = show(examine(device), format_)
    raise typer.Exit(0 if good else 1)
