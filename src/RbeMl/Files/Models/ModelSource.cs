using RbeMl.Models;

namespace RbeMl.Files;

/// <summary>Loads a model from whatever holds one.</summary>
public static class ModelSource
{
    /// <summary>The name that <c>finetune</c> gives the model in its folder.</summary>
    public const string FileName = "model.rbe";

    /// <summary>
    /// Loads a <c>.rbe</c> file, also by the folder that <c>finetune</c> wrote it to as <see cref="FileName"/>, or the folder of a Hugging Face GPT-2 with
    /// exact dense weights.
    /// </summary>
    /// <param name="path">The file or folder.</param>
    /// <exception cref="RbeFileException">Nothing is there, or it is no model this version reads.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static ModelBundle Load(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (InFolder(path) is { } file) return ModelFile.Load(file);
        if (Directory.Exists(path))
        {
            using Gpt2Directory directory = Gpt2Directory.Open(path);
            return directory.LoadDense();
        }

        string? folder = Path.GetDirectoryName(Path.GetFullPath(path));
        bool part = File.Exists(path)
            && (path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase) || path.EndsWith(".json", StringComparison.OrdinalIgnoreCase));
        if (part) throw new RbeFileException(path, $"is one file of a Hugging Face model. Give its folder, {folder}.");
        return ModelFile.Load(path);
    }

    /// <summary>The compressed model of a folder that <c>finetune</c> wrote: its <see cref="FileName"/>; null for any other folder or a file.</summary>
    /// <param name="path">A folder or file.</param>
    public static string? InFolder(string path)
    {
        string file = Path.Combine(path, FileName);
        return Directory.Exists(path) && File.Exists(file) && !File.Exists(Path.Combine(path, Gpt2ConfigJson.FileName)) ? file : null;
    }

    /// <summary>The <c>.rbe</c> file that a path names: itself, or <see cref="InFolder"/>.</summary>
    /// <param name="path">A file or folder.</param>
    /// <exception cref="RbeFileException">It is a folder of anything else.</exception>
    public static string FileOf(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (InFolder(path) is { } file) return file;
        if (!Directory.Exists(path)) return path;
        string what = File.Exists(Path.Combine(path, Gpt2ConfigJson.FileName))
            ? "is the folder of a Hugging Face model, whose weights are dense; a .rbe file is needed. Compress it first."
            : ForeignFolder.Describe(path) ?? $"is a folder without a {FileName}, a .rbe file is needed. Give one, or the folder that finetune wrote.";
        throw new RbeFileException(path, what);
    }
}
