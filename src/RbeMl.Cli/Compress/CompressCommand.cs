using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using RbeMl.Cli.Help;
using RbeMl.Cli.Output;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
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
            compressed, and what --layer-norm and --embeddings say. --calibration, a text like those the model is for, makes its outputs err less
            at the same size.
            --format auto measures what suits each matrix: on the calibration, on random tokens of the model without one, or by the error of the
            weights of a file.
            Ctrl-C ends without a file.

            Examples:
              rbeml compress gpt2 -o gpt2.rbe
              rbeml compress gpt2 -o gpt2.rbe --format trellis --bits 4 --calibration wiki.txt
              rbeml compress gpt2 -o gpt2.rbe --format auto --target-bits 5 --calibration wiki.txt
              rbeml compress gpt2 -o gpt2.rbe --preset small --dry-run
              rbeml compress whisper.safetensors -o whisper.rbe --bits 8 --exclude "*embed*"
              rbeml compress gpt2 -o gpt2.rbe --embeddings quantized --embedding-bits 8 --json figures.json
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
        return ExitCode.Done;
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
        IReadOnlyList<int[]>? windows = settings.Calibration is { } file ? Windows(file, source) : null;
        CompressedModel compressed = Show(progress => ModelCompressor.Compress(source, settings.Request with { Calibration = windows }, progress, host.Cancel));
        ModelFile.Save(settings.Output, compressed.Weights, source.Tokenizer, compressed.Reports);
        long dense = source.ValueCount * sizeof(float);
        bool measured = windows is not null;
        return Record(compressed.Matrices, dense) with
        {
            TokenizerProblem = source.TokenizerProblem,
            CalibrationTokens = windows?.Sum(w => w.Length),
            LayerNorms = Part(settings.Request.LayerNorm.ToString().ToLowerInvariant(), compressed.LayerNorms, dense),
            Embeddings = Part(settings.Request.Embeddings is { } e ? CompressRecord.FormatName(e.Format) : "dense", compressed.Embeddings, dense),
            Vectors = compressed.Vectors,
            BlockErrors = measured ? new BlockErrors(compressed.BlockErrors, compressed.BlockErrorsDenseNorms) : null,
        };
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
            : [Read(file, source.RequireTokenizer("--calibration", file, "give token ids, with --calibration-ids."), config.Vocabulary)];
        if (source.Encoder is { } encoder)
        {
            ITokenizer tokenizer = source.RequireTokenizer("--calibration", file, "an encoder's sequences begin and end with tokens of it.");
            return CalibrationWindows.CutSentences(
                sequences, (WordPieceTokenizer)tokenizer, encoder.MaxTokens ?? config.MaxSequenceLength, settings.CalibrationTokens);
        }

        return CalibrationWindows.Cut(sequences, config.MaxSequenceLength, settings.CalibrationTokens);
    }

    private int[] Read(string file, ITokenizer tokenizer, int vocabulary)
    {
        TextSource text = TextSource.OfFiles([file], settings.TextOptions);
        return ReadingView.Read(host, json.OnOutput, view => TokenPieces.Encode(tokenizer, text.Pieces(view, host.Cancel), file, vocabulary).ToArray());
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

    private sealed class Reporter(ProgressView view, Stopwatch watch) : IProgress<CompressionProgress>
    {
        public void Report(CompressionProgress value)
        {
            double done = value.Total == 0 ? 1 : (double)value.Done / value.Total;
            view.Show(done, value.Name, Format.Left(done, watch.Elapsed));
        }
    }
}
