using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace RbeMl.Cli.Finetune;

/// <summary>
/// What a run measures, written while it lasts: a line a step in <c>metrics.jsonl</c>, and where it is asked for in a table and in event files of
/// TensorBoard. Each is handed to the system at once, so that whoever looks sees all but the last moment. A file that cannot be written any
/// more is left until the end, and training goes on.
/// </summary>
internal sealed class MetricsLog : IDisposable
{
    private readonly List<MetricsFile> _files, _lost = [];
    private readonly Action<string> _complain;

    /// <summary>Begins the files with what the run did before it was stopped, so that nothing stands there twice.</summary>
    /// <param name="files">The files, not open yet.</param>
    /// <param name="run">The run so far.</param>
    /// <param name="complain">Told when a file is given up.</param>
    public MetricsLog(IEnumerable<MetricsFile> files, RunRecord run, Action<string> complain)
    {
        (_files, _complain) = ([.. files], complain);
        Restart(run);
    }

    /// <summary>Writes those anew that could not be written for a while.</summary>
    public void Finish(RunRecord run)
    {
        if (_lost.Count == 0) return;
        _files.Clear();
        _files.AddRange(_lost);
        _lost.Clear();
        Restart(run);
    }

    /// <summary>Writes the files anew, of a run that went back.</summary>
    public void Restart(RunRecord run)
    {
        Each(file => file.Begin());
        int next = 0;
        foreach (StepRecord step in run.Steps)
        {
            while (next < run.Validation.Count && run.Validation[next].Step < step.Step) Add(run.Validation[next++]);
            Each(file => file.Add(step));
        }

        while (next < run.Validation.Count) Add(run.Validation[next++]);
        Each(file => file.Flush());
    }

    /// <summary>A step is done.</summary>
    public void Write(StepRecord step) => Each(file =>
    {
        file.Add(step);
        file.Flush();
    });

    /// <summary>A validation is done.</summary>
    public void Write(ValidationRecord validation)
    {
        Add(validation);
        Each(file => file.Flush());
    }

    /// <inheritdoc/>
    public void Dispose() => _files.Concat(_lost).ToList().ForEach(file => file.Dispose());

    private void Add(ValidationRecord validation) => Each(file => file.Add(validation));

    private void Each(Action<MetricsFile> write)
    {
        foreach (MetricsFile file in _files.ToArray())
        {
            try
            {
                write(file);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                _files.Remove(file);
                _lost.Add(file);
                _complain($"{file.Path} cannot be written any more, and training goes on without it: {error.Message.TrimEnd('.')}.");
            }
        }
    }
}

/// <summary>A file of measurements.</summary>
/// <param name="path">Its name.</param>
internal abstract class MetricsFile(string path) : IDisposable
{
    private FileStream? _stream;

    /// <summary>Its name.</summary>
    public string Path { get; } = path;

    /// <summary>Where to write.</summary>
    protected Stream Stream => _stream!;

    /// <summary>Begins it anew.</summary>
    public void Begin()
    {
        _stream?.Dispose();
        if (System.IO.Path.GetDirectoryName(Path) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
        _stream = new FileStream(Path, FileMode.Create, FileAccess.Write, FileShare.Read | FileShare.Delete);
        Head();
    }

    /// <summary>Adds a step.</summary>
    public abstract void Add(StepRecord step);

    /// <summary>Adds a validation.</summary>
    public abstract void Add(ValidationRecord validation);

    /// <summary>Hands what was added to the system.</summary>
    public void Flush() => _stream!.Flush();

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            _stream?.Dispose();
        }
        catch (IOException)
        {
            // it was given up
        }
    }

    /// <summary>What stands at its beginning.</summary>
    protected virtual void Head()
    {
    }
}

/// <summary>JSON lines: an object a step, and one a validation.</summary>
internal sealed class JsonLinesFile(string path) : MetricsFile(path)
{
    private static readonly JsonWriterOptions s_line = new() { Indented = false };
    private readonly ArrayBufferWriter<byte> _line = new();

    /// <inheritdoc/>
    public override void Add(StepRecord step) => Line(json =>
    {
        json.WriteNumber("step", step.Step);
        json.WriteNumber("loss", step.Loss);
        json.WriteNumber("learningRate", step.LearningRate);
        json.WriteNumber("gradientNorm", step.GradientNorm);
        json.WriteNumber("tokensPerSecond", step.TokensPerSecond);
        json.WriteNumber("residentBytes", step.ResidentBytes);
        json.WriteNumber("tokens", step.Tokens);
    });

    /// <inheritdoc/>
    public override void Add(ValidationRecord validation) => Line(json =>
    {
        json.WriteNumber("step", validation.Step);
        if (double.IsFinite(validation.Loss)) json.WriteNumber("validationLoss", validation.Loss);
        else json.WriteNull("validationLoss");
    });

    private void Line(Action<Utf8JsonWriter> write)
    {
        _line.ResetWrittenCount();
        using (Utf8JsonWriter json = new(_line, s_line))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        Stream.Write(_line.WrittenSpan);
        Stream.WriteByte((byte)'\n');
    }
}

/// <summary>A table: a row a step, and one a validation, whose other cells are empty.</summary>
internal sealed class CsvFile(string path) : MetricsFile(path)
{
    /// <summary>The first line, by which a table of this command is known.</summary>
    public const string Header = "step,loss,learningRate,gradientNorm,tokensPerSecond,residentBytes,tokens,validationLoss\n";

    /// <inheritdoc/>
    public override void Add(StepRecord step) => Write(string.Create(CultureInfo.InvariantCulture,
        $"{step.Step},{step.Loss},{step.LearningRate},{step.GradientNorm},{step.TokensPerSecond},{step.ResidentBytes},{step.Tokens},\n"));

    /// <inheritdoc/>
    public override void Add(ValidationRecord validation) =>
        Write(string.Create(CultureInfo.InvariantCulture, $"{validation.Step},,,,,,,{validation.Loss}\n"));

    /// <inheritdoc/>
    protected override void Head() => Write(Header);

    private void Write(string line) => Stream.Write(Encoding.UTF8.GetBytes(line));
}
