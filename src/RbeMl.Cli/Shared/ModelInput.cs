using RbeMl.Cli.Finetune;
using RbeMl.Files;
using RbeMl.Models;

namespace RbeMl.Cli;

/// <summary>Where the verbs that only read a model get it from.</summary>
internal static class ModelInput
{
    /// <summary>Loads a model, and says when files beside it are of another run.</summary>
    /// <param name="host">Where to say so.</param>
    /// <param name="path">A <c>.rbe</c> file, the folder that <c>finetune</c> wrote it to, or the folder of a Hugging Face GPT-2.</param>
    /// <exception cref="RbeFileException">It is no model, or damaged.</exception>
    public static ModelBundle Load(CommandHost host, string path)
    {
        ModelBundle bundle = ModelSource.Load(path);
        RunMixture.Warn(host, ModelSource.InFolder(path) ?? path, bundle.Run);
        return bundle;
    }
}
