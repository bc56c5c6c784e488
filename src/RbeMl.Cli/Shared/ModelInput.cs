using System.CommandLine;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Cli;

/// <summary>Where the verbs get their models from.</summary>
internal static class ModelInput
{
    /// <summary><c>--apply-delta</c>.</summary>
    public static Option<string?> Delta() =>
        Options.File("--apply-delta", "delta",
            "Use the model with this delta on it, which finetune or classify train wrote of the same model by --save-delta.");

    /// <summary>Loads a language model, and says when files beside it are of another run.</summary>
    /// <param name="host">Where to say so.</param>
    /// <param name="path">A <c>.rbe</c> file, the folder that <c>finetune</c> wrote it to, or the folder of a Hugging Face GPT-2.</param>
    /// <param name="delta">A delta to use on it; null for none.</param>
    /// <exception cref="RbeFileException">It is no language model, or damaged.</exception>
    /// <exception cref="DeltaMismatchException">The delta is of another model.</exception>
    public static ModelBundle LoadLanguageModel(CommandHost host, string path, string? delta = null)
    {
        ModelBundle bundle = ModelSource.Load(path);
        RunMixture.Warn(host, ModelSource.InFolder(path) ?? path, bundle.Run);
        if (bundle.Model.Config.Causal) return With(bundle, delta);
        string what = bundle.Model.Config.Describe();
        bundle.Dispose();
        throw new RbeFileException(path, $"is {what}, which makes vectors of texts and predicts no tokens; a language model is needed. Give one.");
    }

    /// <summary>Loads any model.</summary>
    /// <inheritdoc cref="LoadLanguageModel"/>
    public static ModelBundle Load(string path, string? delta) => With(ModelSource.Load(path), delta);

    /// <summary>Loads an encoder.</summary>
    /// <param name="path">The file or folder.</param>
    /// <param name="delta">A delta to use on it; null for none.</param>
    /// <param name="threads">Threads of a call; 0 for one a processor.</param>
    /// <exception cref="RbeFileException">It is no encoder, or damaged.</exception>
    /// <exception cref="DeltaMismatchException">The delta is of another model.</exception>
    public static SentenceEncoder LoadEncoder(string path, string? delta, int threads) => ModelSource.EncoderOf(path, Load(path, delta), threads);

    /// <summary>A model with a delta on it; the model without it is disposed of.</summary>
    /// <exception cref="DeltaMismatchException">The delta is of another model.</exception>
    public static ModelBundle With(ModelBundle bundle, string? delta)
    {
        if (delta is null) return bundle;
        try
        {
            return bundle with { Model = DeltaFile.Apply(delta, bundle.Model).Model, Run = null };
        }
        finally
        {
            bundle.Dispose();
        }
    }
}
