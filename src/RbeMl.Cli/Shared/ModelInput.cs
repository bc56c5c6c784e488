using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Cli;

/// <summary>Where the verbs that need a language model get it from.</summary>
internal static class ModelInput
{
    /// <summary>Loads a language model, and says when files beside it are of another run.</summary>
    /// <param name="host">Where to say so.</param>
    /// <param name="path">A <c>.rbe</c> file, the folder that <c>finetune</c> wrote it to, or the folder of a Hugging Face GPT-2.</param>
    /// <exception cref="RbeFileException">It is no language model, or damaged.</exception>
    public static ModelBundle LoadLanguageModel(CommandHost host, string path)
    {
        ModelBundle bundle = ModelSource.Load(path);
        RunMixture.Warn(host, ModelSource.InFolder(path) ?? path, bundle.Run);
        if (bundle.Model.Config.Causal) return bundle;
        string what = bundle.Model.Config.Describe();
        bundle.Dispose();
        throw new RbeFileException(path, $"is {what}, which makes vectors of texts and predicts no tokens; a language model is needed. Give one.");
    }
}
