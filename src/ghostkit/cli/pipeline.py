"""``ghostkit pipeline``: a MindX .pipeline file run as it is, or explained, or corrected."""

from pathlib import Path
from typing import Annotated

import typer

from ghostkit.cli.options import (
    WRITTEN,
    BatchSize,
    Overwrite,
    ResumeFolder,
    StrictStandIns,
    Workers,
    say,
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(pipeline)


def pipeline(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .pipeline file.")],
    images: Annotated[
        Path | None, typer.Argument(metavar="IMAGES", help="The folder of pictures.")
    ] = None,
    result_dir: Annotated[
        Path | None,
        typer.Argument(metavar="RESULT_DIR", help="Where NAME_1.txt is written."),
        WRITTEN,
    ] = None,
    stream: Annotated[
        str | None, typer.Option(help="Which stream, where the file has several.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The model, in place of the file's modelPath.")
    ] = None,
    aipp: Annotated[
        Path | None,
        typer.Option(help="An AIPP file to simulate before the model, as on the chip."),
    ] = None,
    sdk_conf: Annotated[
        Path | None,
        typer.Option(help="sdk.conf; by default $MX_SDK_HOME/config/sdk.conf where it exists."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what each element does; run nothing.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(help="Write a drawing of the pipeline."), WRITTEN
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="Write the pipeline with the steps of the model's card; run nothing."),
        WRITTEN,
    ] = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Percentiles per element, while it runs and at the end.")
    ] = False,
    overwrite: Overwrite = False,
    resume: ResumeFolder = False,
    strict: StrictStandIns = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --explain: print it as JSON.")
    ] = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
) -> None:
    """Run a MindX SDK pipeline on a folder of pictures, without the SDK.

    Prints the SDK runner's lines and writes its result files. A picture that fails is named with
    its reason and gets no file, the rest goes on, the exit status is 1.

    Example: ghostkit pipeline ghostnet.pipeline imagenet_val/ result/

    Example: ghostkit pipeline ghostnet.pipeline --explain
    """
    from ghostkit.cli.pipeline_run import FolderRun, read_named, run
    from ghostkit.cli.result_folder import Results
    from ghostkit.errors import UsageError
    from ghostkit.mindx.agreement import check_normalised_once, disagreements
    from ghostkit.mindx.program import Program, compile_stream

    content, name = read_named(file, stream)

    def compiled() -> Program:
        return compile_stream(content, name, model=model, aipp=aipp, strict=strict)

    if as_json and not explain:
        raise UsageError("--json is for --explain; a run prints the SDK runner's lines")
    if explain or svg is not None or fix is not None:
        from ghostkit.cli.pipeline_explain import Asked, tell

        asked = Asked(explain, svg, fix, overwrite, as_json)
        raise typer.Exit(tell(content, content.streams[name], compiled, asked))
    if images is None or result_dir is None:
        raise UsageError("name the folder of pictures and the folder of results after the file")
    program = compiled()
    settings = FolderRun(
        results=Results(images, result_dir, overwrite, resume),
        sdk_conf=sdk_conf,
        stats=stats,
        batch_size=batch_size,
        workers=workers,
    )
    for notice in program.notices:
        say(f"note: {notice}")
    for number, sentence in enumerate(disagreements(program)):
        if number == 0:
            say("note: this is not what the model was trained with; --fix mends sizes")
        say(f"note: {sentence}")
    check_normalised_once(program)
    raise typer.Exit(run(program, settings))
