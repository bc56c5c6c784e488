using RbeMl.Models.Files;

namespace RbeMl.Cli;

/// <summary>Where the verbs that only read a model get it from.</summary>
internal static class ModelInput
{
    /// <summary>Loads a model.</summary>
    /// <param name="path">A <c>.rbe</c> file, or the folder of a Hugging Face GPT-2.</param>
    /// <exception cref="RbeFileException">It is no model, or damaged.</exception>
    public static Gpt2Bundle Load(string path) => ModelSource.Load(path);
}
