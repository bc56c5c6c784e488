using RbeMl.Cli.Output;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>How far training moved a model that was given.</summary>
/// <param name="settings">What was asked for.</param>
/// <param name="files">The files of the run.</param>
/// <param name="begun">The model that was given, before any training; null for a new one.</param>
internal sealed class ModelMove(FinetuneSettings settings, RunFiles files, TransformerModel<float>? begun)
{
    private const int PassTokens = 2048;
    private readonly string? _begun = begun is null ? null : RunMark.HashOf(begun);

    /// <summary>
    /// Measures it on the whole of the held-out data, as the validations before and after the training. Both models are in memory, but no gradients and no
    /// optimiser any more.
    /// </summary>
    /// <param name="model">The trained model.</param>
    /// <param name="data">The data.</param>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="say">Told why it is left out, where it is.</param>
    /// <param name="cancel">Ends it.</param>
    public QualityRecord? Measure(TransformerModel<float> model, TrainingData data, int context, Action<string> say, CancellationToken cancel)
    {
        if (_begun is null) return null;
        if (settings.MemoryLimit is { } limit && Environment.WorkingSet + (2 * ModelSize.Of(model).ResidentBytes) > (long)limit << 20)
        {
            say("Left out how far the model moved: it and the one before together would not fit into the memory limit. rbeml eval --reference tells.");
            return null;
        }

        using ModelBundle? before = Begun();
        if (before is null)
        {
            say("Left out how far the model moved: the file of the model before has changed, or this run took its place.");
            return null;
        }

        using Evaluator evaluator = new(model, before.Model, new EvaluationOptions { Context = context, BatchSize = Math.Max(1, PassTokens / context) },
            settings.Threads);
        EvaluationResult found = evaluator.Evaluate(data.Validation, data.Tokenizer, cancel: cancel);
        return QualityRecord.Of("held-out data", found, found.Bytes is > 0 and { } bytes ? (double)bytes / found.Tokens : null);
    }

    // Where its place was taken, it is among the files that were kept.
    private ModelBundle? Begun()
    {
        string path = ModelSource.InFolder(settings.Model!) ?? settings.Model!;
        if (Storage.AtomicFile.IsSame(path, files.Model))
        {
            if (files.Kept?.GetValueOrDefault(Path.GetFileName(path)) is not { } kept) return null;
            path = kept;
        }

        try
        {
            ModelBundle bundle = ModelSource.Load(path);
            if (RunMark.HashOf(bundle.Model) == _begun) return settings.ApplyDelta is { } delta ? ModelInput.With(bundle, delta) : bundle;
            bundle.Dispose();
        }
        catch (RbeFileException)
        {
        }

        return null;
    }
}
