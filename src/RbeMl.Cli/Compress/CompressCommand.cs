using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using RbeMl.Cli.Data;
using RbeMl.Cli.Help;
using RbeMl.Cli.Output;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Compress;

/// <summary><c>rbeml compress</c>: a model or a file of tensors, dense to compressed.</summary>
internal sealed class CompressCommand(CompressSettings settings, JsonTarget json, CommandHost host)
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        Verb command = new(
            "compress",
            """
            Compresses a Hugging Face GPT-2 or BERT, the .onnx file of a BERT, or the matrices of a .safetensors file, into a .rbe file.

            Of a file every F32, F16 or BF16 tensor with two sides of 32 or more is compressed and all others are copied. Of a model the blocks' matrices are
            compressed, its token embedding and untied head with two bits more (--embeddings dense keeps them), and what --layer-norm says. --calibration,
            a text like those the model is for, makes its outputs err less at the same size.
            --format auto measures what suits each matrix: on the calibration, on random tokens of the model without one, or by the error of the
            weights of a file.
            --tune also trains what is not rounded yet, and gains most at few bits. Ctrl-C ends without a file; a training is ended, and what it came
            to is written, and while --measure measures the file is there already.

            Examples:
              rbeml compress gpt2 -o gpt2.rbe
              rbeml compress gpt2 -o gpt2.rbe --format trellis --bits 4 --calibration wiki.txt
              rbeml compress gpt2 -o gpt2.rbe --format auto --target-bits 5 --calibration wiki.txt
              rbeml compress gpt2 -o gpt2.rbe --preset small --dry-run
              rbeml compress gpt2 -o gpt2.rbe --bits 4 --calibration wiki.txt --measure held-out.txt
              rbeml compress gpt2 -o gpt2.rbe --format trellis --bits 3 --calibration wiki.txt --calibration-tokens 65536 --tune 500
              rbeml compress whisper.safetensors -o whisper.rbe --bits 8 --exclude "*embed*"
              rbeml compress gpt2 -o gpt2.rbe --embeddings dense --json figures.json
              rbeml compress all-MiniLM-L6-v2 -o minilm.rbe --format trellis --bits 4 --embeddings trellis --embedding-bits 4 --calibration texts.txt
            """);
        CompressOptions options = new();
        options.AddTo(command);
        command.SetAction(result => new CompressCommand(options.Read(result), result.JsonTarget(options.Json), host).Run());
        return command;
    }

    private bool IsModel => CompressOptions.IsModel(settings.Input);

    private int Run()
    {
        CheckFiles();
        if (settings.DryRun) return DryRun();
        CompressRecord record = IsModel ? CompressModel() : CompressFile();
        LaterWork later = new();
        later.Do(() =>
        {
            if (!json.OnOutput) CompressTables.Write(host, record);
        });
        later.Do(() => json.Write(host, record.ToJson()));
        later.ThrowFirst($"The compressed file is saved, {settings.Output}.");
        bool ended = (settings.Request.Tuning is not null || settings.Measure is not null) && host.Cancel.IsCancellationRequested;
        return ended ? ExitCode.Cancelled : ExitCode.Done;
    }

    private int DryRun()
    {
        CompressionForecast forecast = Forecast();
        if (!json.OnOutput)
        {
            host.Say($"{settings.Input} would become {settings.Output}; nothing was written");
            FigureTable table = new FigureTable("about").Column("figure");
            table.Row("size of the file", Format.Bytes(forecast.Bytes));
            table.Row("matrices", Format.Count(forecast.Matrices));
            table.Row("bits a weight", Format.Figure(forecast.BitsPerWeight));
            if (forecast.RelativeError is { } error) table.Row("relative error of the weights", Format.Figure(error));
            table.Row("memory of the process", Format.Bytes(forecast.PeakBytes));
            table.Row(settings.Calibration is null ? "time" : "time, calibration not counted", Format.Seconds(forecast.Seconds));
            if (forecast.TuningSeconds is { } tuning) table.Row("of it, tuning", Format.Seconds(tuning));
            table.Write(host);
        }

        json.Write(host, JsonSerializer.Serialize(
            new
            {
                settings.Input,
                settings.Output,
                DryRun = true,
                forecast.Matrices,
                forecast.BitsPerWeight,
                forecast.RelativeError,
                forecast.Bytes,
                forecast.PeakBytes,
                forecast.Seconds,
                forecast.TuningSeconds,
            }, JsonStyle.Indented));
        return ExitCode.Done;
    }

    private CompressionForecast Forecast()
    {
        if (IsModel)
        {
            using IModelFolder source = ModelFolders.Open(settings.Input);
            return CompressionForecast.Of(source, settings.Request, settings.Calibration is null ? 0 : settings.CalibrationTokens, host.Cancel);
        }

        using SafetensorsSet tensors = SafetensorsSet.Open(settings.Input);
        return CompressionForecast.Of(tensors, settings.Request, host.Cancel);
    }

    // Before any work.
    private void CheckFiles()
    {
        List<string> read = [settings.Input];
        if (settings.Calibration is { } calibration) read.Add(calibration);
        if (settings.Measure is { } measured) read.Add(measured);
        if (settings.Input.EndsWith(".rbe", StringComparison.OrdinalIgnoreCase) || ModelSource.InFolder(settings.Input) is not null)
        {
            throw new UsageException($"{settings.Input} is compressed already, and compressing its errors would add to them. Give the "
                + $"dense weights; '{host.Program} decompress' makes a dense model of it if they are lost.");
        }

        if (settings.ModelOnly is { } option && File.Exists(settings.Input) && !IsModel)
        {
            throw new UsageException($"{option} needs the folder of a model: {settings.Input} does not say what its tensors are for.");
        }

        foreach (string written in new[] { settings.Output, json.File }.OfType<string>())
        {
            Options.RequireDistinct(written, read);
            if (IsInside(written, settings.Input)) throw new UsageException($"{written} is inside the model's own folder. Write somewhere else.");
            if (!settings.DryRun || written != settings.Output) AtomicFile.CheckFile(written);
            read.Add(written);
        }
    }

    private static bool IsInside(string file, string folder) =>
        Directory.Exists(folder) && Path.GetDirectoryName(Path.GetFullPath(file)) == Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder));

    private CompressRecord CompressModel()
    {
        using IModelFolder source = ModelFolders.Open(settings.Input);
        EvaluationData? text = settings.Measure is { } measure ? Measured(measure, source) : null; // what is wrong with it is said before any work
        IReadOnlyList<int[]>? windows = settings.Calibration is { } file ? Windows(file, source) : null;
        host.Cancel.ThrowIfCancellationRequested();
        TuningOptions? tuning = settings.Request.Tuning is { } asked ? asked with { Enough = host.Cancel } : null;
        CompressionRequest request = settings.Request with { Calibration = windows, Tuning = tuning };
        CompressedModel compressed = Show(progress => ModelCompressor.Compress(source, request, progress, tuning is null ? host.Cancel : default));
        ModelFile.Save(settings.Output, compressed.Weights, source.Tokenizer, compressed.Reports);
        long dense = source.ValueCount * sizeof(float);
        bool measured = windows is not null;
        CompressRecord record = Record(compressed.Matrices, dense) with
        {
            Quality = text is null ? null : Measure(compressed.Weights, text),
            TokenizerProblem = source.TokenizerProblem ?? (source.Tokenizer is null && compressed.Weights.Encoder is not null
                ? "there is none: put its vocab.txt or tokenizer.json beside it and compress again, for embed and classify" : null),
            CalibrationTokens = windows?.Sum(w => w.Length),
            Tuning = compressed.Tuned,
            OutputsWeighed = measured ? settings.Request.WeighOutputs : null,
            LayerNorms = Part(settings.Request.LayerNorm.ToString().ToLowerInvariant(), compressed.LayerNorms, dense),
            Embeddings = Part(settings.Request.Embeddings is { } e ? CompressRecord.FormatName(e.Format) : "dense", compressed.Embeddings, dense),
            Vectors = compressed.Vectors,
            BlockErrors = measured ? new BlockErrors(compressed.BlockErrors, compressed.BlockErrorsDenseNorms) : null,
        };
        return record with { Verdict = CompressVerdict.Of(record), Seconds = _watch.Elapsed.TotalSeconds, PeakBytes = PeakMemory.Bytes() };
    }

    private EvaluationData Measured(string file, IModelFolder source)
    {
        if (!source.Config.Causal)
        {
            throw new InvalidSettingException("--measure", file,
                "the model makes vectors of texts and predicts no tokens. Leave it out: with a --calibration its vectors are compared with the dense ones.");
        }

        if (file.EndsWith(".ids", StringComparison.OrdinalIgnoreCase))
        {
            return EvaluationData.FromSequences(TokenFile.ReadSequences(file, source.Config.Vocabulary, settings.TextOptions));
        }

        TextSource text = Text(file);
        ITokenizer tokenizer = source.RequireTokenizer("--measure", file, "give token ids, in a file that ends in .ids.");
        return ReadingView.Read(host, json.OnOutput, view => EvaluationData.FromText(text, tokenizer, source.Config.Vocabulary, view, host.Cancel));
    }

    // After the file is saved: who stops this has that.
    private QualityRecord? Measure(TransformerWeights weights, EvaluationData text)
    {
        if (host.Cancel.IsCancellationRequested) return null;
        try
        {
            using ModelBundle dense = ModelSource.Load(settings.Input);
            using TransformerModel<float> model = new(weights);
            using Evaluator evaluator = new(model, dense.Model, null, settings.Request.Threads);
            ProgressView view = ProgressView.For(host, json.OnOutput);
            EvaluationResult? found = null;
            view.Run(() => found = evaluator.Evaluate(text, new MeasuringReporter(view), host.Cancel));
            return QualityRecord.Of(Path.GetFileName(settings.Measure!), found!, found!.Bytes is { } bytes ? (double)bytes / found.Tokens : null);
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        catch (RbeException error)
        {
            throw new SavedWorkException(error, $"The compressed file is saved, {settings.Output}.");
        }
    }

    private CompressRecord CompressFile()
    {
        using SafetensorsSet source = SafetensorsSet.Open(settings.Input);
        CompressedTensors compressed = Show(progress => MatrixSetCompressor.Compress(source, settings.Request, progress, host.Cancel));
        compressed.Save(settings.Output, source);
        return Record(compressed.Outcomes, source.Tensors.Sum(t => t.ByteLength)) with { Copied = compressed.Copied };
    }

    private IReadOnlyList<int[]> Windows(string file, IModelFolder source)
    {
        TransformerConfig config = source.Config;
        bool ids = settings.CalibrationIds || file.EndsWith(".ids", StringComparison.OrdinalIgnoreCase);
        List<int[]> sequences = ids
            ? TokenFile.ReadSequences(file, config.Vocabulary, settings.TextOptions)
            : [Read(file, source)];
        if (source.Encoder is { } encoder)
        {
            ITokenizer tokenizer = source.RequireTokenizer("--calibration", file, "an encoder's sequences begin and end with tokens of it.");
            return CalibrationWindows.CutSentences(
                sequences, (WordPieceTokenizer)tokenizer, encoder.MaxTokens ?? config.MaxSequenceLength, settings.CalibrationTokens);
        }

        return CalibrationWindows.Cut(sequences, config.MaxSequenceLength, settings.CalibrationTokens);
    }

    private int[] Read(string file, IModelFolder source)
    {
        TextSource text = Text(file);
        ITokenizer tokenizer = source.RequireTokenizer("--calibration", file, "give token ids, with --calibration-ids.");
        return ReadingView.Read(host, json.OnOutput,
            view => TokenPieces.Encode(tokenizer, text.Pieces(view, host.Cancel), file, source.Config.Vocabulary).ToArray());
    }

    // What is no file is said before what the model lacks.
    private TextSource Text(string file)
    {
        KeptBytes.LengthOf(file);
        return TextSource.OfFiles([file], settings.TextOptions, DataFiles.RefuseJsonLines);
    }

    private CompressRecord Record(IReadOnlyList<MatrixOutcome> matrices, long denseBytes)
    {
        double bits = MatrixOutcome.BitsPerWeight(matrices);
        return new CompressRecord
        {
            Input = settings.Input,
            Output = settings.Output,
            Tensors = [.. matrices.Select(CompressRecord.Of)],
            BitsPerWeight = bits,
            RelativeError = MatrixOutcome.RelativeError(matrices),
            SavedFraction = 1 - (bits / 32),
            Bytes = new FileInfo(settings.Output).Length,
            DenseBytes = denseBytes,
            Seconds = _watch.Elapsed.TotalSeconds,
            PeakBytes = PeakMemory.Bytes(),
        };
    }

    private static PartFigures Part(string storage, PartOutcome part, long dense) =>
        new(storage, part.DenseBytes, part.Bytes, part.RelativeError, (double)(part.DenseBytes - part.Bytes) / dense);

    private T Show<T>(Func<IProgress<CompressionProgress>, T> work)
    {
        ProgressView view = ProgressView.For(host, json.OnOutput);
        T? result = default;
        view.Run(() => result = work(new Reporter(view, _watch)));
        return result!;
    }

    private sealed class MeasuringReporter(ProgressView view) : IProgress<EvaluationProgress>
    {
        public void Report(EvaluationProgress value) => view.Show((double)value.SoFar.Tokens / value.Total,
            $"measuring, {Format.Count(value.SoFar.Tokens)}/{Format.Count(value.Total)} tokens", $"KL {Format.Figure(value.SoFar.Kl ?? 0)}");
    }

    private sealed class Reporter(ProgressView view, Stopwatch watch) : IProgress<CompressionProgress>
    {
        public void Report(CompressionProgress value)
        {
            double done = value.Total == 0 ? 1 : (double)value.Done / value.Total;
            view.Show(done, value.Name, Format.Left(done, watch.Elapsed));
        }
    }
}
