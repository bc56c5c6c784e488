using System.Reflection;
using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Storage;

namespace RbeMl.Training;

/// <summary>
/// The state of a training in a <c>.rbe</c> container of the kind <c>rbeml-state</c>: whose run it is, how far it came, and what each of
/// its parts keeps. FORMAT.md describes it.
/// </summary>
internal sealed class TrainingStateFile : IDisposable
{
    /// <summary>The kind in the container's metadata.</summary>
    public const string Kind = "rbeml-state";

    private const int Version = 1;
    private readonly RbeContainer _file;
    private readonly JsonFields _metadata;

    private TrainingStateFile(RbeContainer file, JsonFields metadata)
    {
        (_file, _metadata) = (file, metadata);
        Step = metadata.Whole("step", 0, int.MaxValue);
        Steps = metadata.Whole("steps", 1, int.MaxValue);
    }

    /// <summary>Optimiser steps done.</summary>
    public int Step { get; }

    /// <summary>Steps of the whole run; int.MaxValue where time decides.</summary>
    public int Steps { get; }

    /// <summary>What the run's weights were at its start.</summary>
    public string Start => _metadata.Objects("run").First(entry => entry.Text("name") == RunIdentity.Start).Text("value");

    /// <summary>Writes a state, as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="identity">Whose state it is.</param>
    /// <param name="step">Steps done.</param>
    /// <param name="steps">Steps in all.</param>
    /// <param name="predict">Predicts something by the weights of the state: finite ones may give NaN all the same.</param>
    /// <param name="parts">What keeps something, by name.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite, or what is predicted: nobody goes on from there, and nothing is
    /// written.</exception>
    public static void Save(
        string path, RunIdentity identity, int step, int steps, Action predict, params IReadOnlyList<(string Name, ITrainingPart Part)> parts)
    {
        Require(predict, step);
        JsonObject kept = [];
        List<RbeTensor> tensors = [];
        foreach ((string name, ITrainingPart part) in parts)
        {
            StateWriter writer = new(name);
            part.Save(writer);
            kept[name] = writer.Fields;
            tensors.AddRange(writer.Tensors);
        }

        JsonObject metadata = new()
        {
            ["kind"] = Kind,
            ["stateVersion"] = Version,
            ["writer"] = Writer(),
            ["step"] = step,
            ["steps"] = steps,
            ["run"] = identity.ToJson(),
            ["parts"] = kept,
        };
        RbeContainerWriter.Write(path, metadata, tensors);
    }

    /// <summary>Requires that the weights of a state predict something.</summary>
    /// <param name="predict">Predicts something.</param>
    /// <param name="step">Steps done.</param>
    /// <exception cref="NonFiniteException">It is NaN or infinite.</exception>
    public static void Require(Action predict, int step)
    {
        try
        {
            predict();
        }
        catch (NonFiniteException error)
        {
            throw error.Within(FormattableString.Invariant($"the state after step {step}"));
        }
    }

    /// <summary>Opens a state.</summary>
    /// <exception cref="RbeFileException">The file is missing, damaged, no training state, or one of another version.</exception>
    public static TrainingStateFile Open(string path)
    {
        RbeContainer file = RbeContainer.Open(path);
        try
        {
            JsonFields metadata = new(path, "metadata", file.Metadata);
            if (metadata.Text("kind") is var kind && kind != Kind)
            {
                throw new RbeFileException(path,
                    $"holds \"{kind}\", a training state (\"{Kind}\") is needed. Give a file that a training saved its state to.");
            }

            int version = metadata.Whole("stateVersion", 1, int.MaxValue);
            if (version != Version)
            {
                throw new RbeFileException(path,
                    $"is a training state of version {version}, written by RbeMl {metadata.Text("writer")}; this is RbeMl {Writer()}, which reads "
                        + $"version {Version}. Resume with the RbeMl that wrote it, or begin a new run.");
            }

            return new TrainingStateFile(file, metadata);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The numbers of a part, before anything is loaded; null where the state has no such part.</summary>
    public JsonFields? Part(string name) => _metadata.Object("parts").OptionalObject(name);

    /// <summary>Checks whose state it is and everything in it, then gives the parts what they kept.</summary>
    /// <param name="identity">The run that resumes.</param>
    /// <param name="anyStart">Whether the weights at the start may be others: those of a file that the same run saved.</param>
    /// <param name="parts">What kept something, by name; no more and no less than when it was saved.</param>
    /// <exception cref="StateMismatchException">It is of another run, or of one that is complete; nothing is changed.</exception>
    /// <exception cref="RbeFileException">It is damaged, or something is missing; nothing is changed.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite; nothing is changed.</exception>
    public void Load(RunIdentity identity, bool anyStart, params IReadOnlyList<(string Name, ITrainingPart Part)> parts)
    {
        identity.Require(_metadata.Objects("run"), anyStart);
        if (Step >= Steps)
        {
            throw new StateMismatchException(_file.Path, "steps", FormattableString.Invariant($"{Step} of {Steps}, its run is complete"),
                "none to go on with", "Use the model that the run saved, or begin a new run from it.");
        }

        JsonFields kept = _metadata.Object("parts");
        HashSet<string> read = [];
        List<StateReader> readers = [];
        foreach ((string name, ITrainingPart part) in parts)
        {
            StateReader reader = new(_file, name, kept.Object(name), read);
            part.Load(reader);
            readers.Add(reader);
        }

        string? extra = _file.Tensors.FirstOrDefault(tensor => !read.Contains(tensor.Name))?.Name;
        if (extra is not null) throw new RbeFileException(_file.Path, $"tensor \"{extra}\" belongs to no part of this training. Use another state.");
        foreach (StateReader reader in readers) reader.Commit();
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static string Writer() =>
        typeof(TrainingStateFile).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "?";
}
