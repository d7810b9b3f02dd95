"""``ghostkit predict``: pictures in, one answer or one reason per picture out, in order."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ghostkit.cli import ray_options
from ghostkit.cli.options import (
    KEPT,
    WRITTEN,
    Backend,
    BatchSize,
    Device,
    FastDecode,
    Overwrite,
    Precision,
    Strict,
    Workers,
    say_fallback,
)

TOP_WRITTEN, TOP_SHOWN = 5, 3  # classes per picture, in a file and on the terminal


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(predict)


def predict(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] SOURCE",
            help="A model, or the bundled one without; then pictures, folders, quoted patterns, "
            "tar archives, Parquet files, URLs of them (s3://, obs://), or -: paths on standard "
            "input.",
        ),
        KEPT,
    ],
    model: Annotated[
        Path | None,
        typer.Option("--model", "-m", help="The model; every argument is then a source."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="FILE.jsonl, FILE.csv, FILE.parquet, FOLDER/ (NAME_1.txt), or -: JSON lines.",
        ),
        WRITTEN,
    ] = None,
    format: Annotated[
        Literal["jsonl", "csv", "txt", "parquet"] | None,
        typer.Option(help="Result format; by default what the output's name says."),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Classes per picture; by default 5, and 3 on the terminal."),
    ] = None,
    overwrite: Overwrite = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an output that a stopped run has left.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only the I-th of N parts of the pictures, from 1."),
    ] = None,
    null: Annotated[
        bool, typer.Option("--null", "-0", help="A zero byte ends each path on standard input.")
    ] = False,
    picture_column: Annotated[
        str | None, typer.Option(help="Parquet: the column of the pictures' bytes.")
    ] = None,
    name_column: Annotated[
        str | None, typer.Option(help="Parquet: the column of the pictures' names.")
    ] = None,
    backend: Backend = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    strict: Strict = False,
    fast_decode: FastDecode = False,
    batch_size: BatchSize = 8,
    workers: Workers = None,
    engine: ray_options.Engine = "local",
    address: ray_options.Address = None,
    actors: ray_options.Actors = None,
    cpus_per_actor: ray_options.CpusPerActor = None,
    gpus_per_actor: ray_options.GpusPerActor = None,
    part_size: ray_options.PartSize = None,
) -> None:
    """Classify pictures, with the bundled model where none is named.

    A picture that cannot be read is recorded with its reason, the rest goes on, the exit status
    is 1.

    Example: ghostkit predict photos/

    Example: ghostkit predict model.onnx photos/ 'shards/*.tar' -o results.jsonl --resume

    Example: ghostkit predict model.onnx s3://photos/ -o results/ --format parquet --engine ray
    """
    from ghostkit.artifacts import load, path_of
    from ghostkit.bundled import DEFAULT
    from ghostkit.cli.job import Job, run
    from ghostkit.cli.model_argument import about_default, split_arguments
    from ghostkit.errors import UsageError
    from ghostkit.sources import Sources
    from ghostkit.sources.shards import parse_shard
    from ghostkit.sources.tables import Columns
    from ghostkit.writers import kind_of

    if top_k not in (None, 1) and (format or (output and kind_of(output))) == "csv":
        raise UsageError(
            f"--top-k {top_k}: a CSV holds the best class alone; for more take -o FILE.jsonl or "
            "FILE.parquet (--format jsonl, parquet)"
        )
    named, sources = (model, arguments) if model is not None else split_arguments(arguments)
    part = None if shard is None else parse_shard(shard)
    asked = ray_options.Asked(
        address=address,
        actors=actors,
        cpus_per_actor=cpus_per_actor,
        gpus_per_actor=gpus_per_actor,
        part_size=part_size,
    )
    asked.check(engine)
    classifier = load(
        DEFAULT if named is None else named,
        backend=backend,
        device=device if engine == "local" else "cpu",  # the nodes' devices are asked for there
        precision=precision,
        strict=strict and engine == "local",
        fast_decode=fast_decode,
    )
    if engine == "local":
        say_fallback(classifier)
    pictures = Sources(
        names=tuple(sources),
        max_bytes=classifier.limits.max_bytes,
        shard=part,
        null=null,
        columns=Columns(picture_column, name_column),
    )
    pictures.check()
    kind = format or (kind_of(output) if output else "terminal")
    classes = top_k or (TOP_SHOWN if kind == "terminal" else TOP_WRITTEN)
    path = path_of(str(named or DEFAULT))
    job = Job(
        classifier=classifier,
        sources=pictures,
        kind=kind,
        target=output or "-",
        top_k=classes,
        batch_size=batch_size,
        workers=workers,
        model_path=path,
    )
    notice = about_default(classifier.card) if named is None else None
    if engine == "local":
        raise typer.Exit(run(job, overwrite=overwrite, resume=resume, notice=notice))
    from ghostkit.cli.ray_job import Model, run_parts

    choice = Model(
        path=path,
        backend=backend,
        device=device,
        precision=precision,
        strict=strict,
        fast_decode=fast_decode,
    )
    status = run_parts(
        job,
        choice,
        asked.pool(device),
        part_size,
        overwrite=overwrite,
        resume=resume,
        notice=notice,
    )
    raise typer.Exit(status)
